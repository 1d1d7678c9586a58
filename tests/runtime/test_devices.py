"""Which devices a job may use, and how exactly it computes on them."""

import platform
from pathlib import Path

import pytest
import torch

from diffdistill.errors import UserError
from diffdistill.runtime import devices


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"CUDA_VISIBLE_DEVICES": "0"}, "2 processes .* CUDA_VISIBLE_DEVICES lists 1"),
        ({"CUDA_VISIBLE_DEVICES": "MIG-1234-a"}, "2 processes .* CUDA_VISIBLE_DEVICES lists 1"),
        ({"SLURM_GPUS_ON_NODE": "1", "CUDA_VISIBLE_DEVICES": "0,1"}, "2 processes .* SLURM granted 1"),
        ({"CUDA_VISIBLE_DEVICES": "GPU-77,MIG-1234"}, None),
        ({"CUDA_VISIBLE_DEVICES": "0,1,2", "SLURM_GPUS_ON_NODE": "3"}, None),
        ({"CUDA_VISIBLE_DEVICES": ""}, None),
        ({"CUDA_VISIBLE_DEVICES": "-1"}, None),
        ({"CUDA_VISIBLE_DEVICES": "NoDevFiles"}, None),
        ({}, None),
    ],
)
def test_fewer_gpus_than_processes(
    variables: dict[str, str], message: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    if message is None:
        devices.require_gpus(2, "train.devices")
        return
    with pytest.raises(UserError, match=message):
        devices.require_gpus(2, "train.devices")


def test_fewer_gpus_than_torch_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    devices.require_gpus(3, "train.devices")
    with pytest.raises(UserError, match=r"4 processes .* torch sees 3"):
        devices.require_gpus(4, "train.devices")


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx2": True, "avx512_f": True, "avx512_bf16": False}, torch.float32),
        ({"avx512_f": True, "avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": True}, torch.bfloat16),
        ({}, torch.float32),
    ],
)
def test_auto_precision_is_what_the_processor_multiplies(
    capabilities: dict[str, bool], expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpu = torch.device("cpu")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert devices.precision("auto", cpu) == expected
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx2")
    assert devices.precision("auto", cpu) == torch.float32
    assert devices.precision("float32", cpu) == torch.float32 and devices.precision("bfloat16", cpu) == torch.bfloat16


def test_a_result_says_what_computed_it() -> None:
    found = devices.describe(torch.device("cpu"))
    assert found["device"] == f"cpu ({devices.processor_name()})" and found["auto precision"] in ("float32", "bfloat16")
    assert found["torch"] == torch.__version__.split("+")[0]
    assert int(found["threads"]) >= 1 and {"python", "numpy", "diffdistill"} <= found.keys()


def test_a_processor_is_named_as_its_maker_calls_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "exists", lambda path: str(path) == "/proc/cpuinfo")
    monkeypatch.setattr(Path, "read_text", lambda path, encoding: "processor\t: 0\nmodel name\t: Some: CPU @ 2 GHz\n")
    assert devices.processor_name() == "Some: CPU @ 2 GHz"
    monkeypatch.setattr(Path, "exists", lambda path: False)
    assert devices.processor_name() == (platform.processor() or platform.machine())
