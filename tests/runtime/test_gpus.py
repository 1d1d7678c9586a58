"""GPUs are counted without torch."""

import subprocess
from pathlib import Path

import pytest

from diffdistill.runtime import gpus


@pytest.mark.parametrize(("listed", "count"), [("", 0), ("0", 1), ("0,3", 2), ("-1", 0), ("GPU-a,MIG-b", 2)])
def test_devices_that_are_listed_count(monkeypatch: pytest.MonkeyPatch, listed: str, count: int) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed)
    assert gpus.count_gpus() == count


@pytest.mark.parametrize("driver", [True, False])
def test_else_the_driver_is_asked(monkeypatch: pytest.MonkeyPatch, driver: bool) -> None:
    def listing(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], 0, "GPU 0: A (UUID: x)\nGPU 1: A (UUID: y)\n", "")

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(Path, "exists", lambda path: driver)
    monkeypatch.setattr(subprocess, "run", listing)
    assert gpus.count_gpus() == (2 if driver else 0)
