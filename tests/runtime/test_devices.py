"""Which devices a job may use, and how exactly it computes on them."""

import platform
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from diffdistill.errors import UserError
from diffdistill.runtime import devices

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="GPUs are told apart on Linux")


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


@pytest.fixture
def card_names(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Two GPUs of this machine, as torch would see them; what the test takes is given back."""
    names = [str(uuid.uuid4()) for _ in range(2)]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(names))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda card: SimpleNamespace(uuid=names[card]))
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    monkeypatch.setattr(devices, "_HELD", [])
    yield names
    for held in devices._HELD:
        held.close()
    devices._take_gpu.cache_clear()


def of_another_job(local_rank: int | None = None) -> int | None:
    devices._take_gpu.cache_clear()
    return devices.best_device(local_rank).index


@needs_linux
def test_each_job_takes_a_gpu_of_its_own(card_names: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    assert [devices.best_device().index for _ in range(3)] == [0, 0, 0]
    assert [of_another_job() for _ in range(4)] == [1, 0, 1, 0]  # shared evenly if there are more jobs
    assert chosen[-2:] == [torch.device("cuda", 1), torch.device("cuda", 0)]
    card_names[:] = [str(uuid.uuid4()), card_names[0]]  # a job to which CUDA_VISIBLE_DEVICES shows others
    assert of_another_job() == 0


@needs_linux
def test_each_job_of_several_processes_takes_gpus_of_its_own(
    card_names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    card_names += [str(uuid.uuid4()) for _ in range(3)]
    taken = [of_another_job()]
    for port in ("1", "2"):
        monkeypatch.setenv("MASTER_PORT", port)
        taken += [of_another_job(local_rank) for local_rank in (0, 1)]
    assert taken == [0, 1, 2, 3, 4]


@needs_linux
def test_processes_of_one_job_never_share_a_gpu(card_names: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_PORT", "1")
    assert [of_another_job() for _ in range(2)] == [0, 1] and of_another_job(0) == 0
    devices._HELD.pop(0).close()  # the first job ends, which leaves its GPU with one job less than the other
    assert of_another_job(1) == 1


@needs_linux
def test_a_killed_job_gives_its_gpu_back(card_names: list[str]) -> None:
    script = "import sys, time; from diffdistill.runtime import devices\n"
    script += "print(devices._hold(sys.argv[1]), flush=True); time.sleep(60)"
    command = [sys.executable, "-c", script, f"{card_names[0]}-0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as job:
        assert job.stdout is not None and job.stdout.readline().strip() == "True"
        assert of_another_job() == 1
        job.kill()
    assert of_another_job() == 0


@needs_linux
def test_where_nothing_can_be_held_the_first_gpus_compute(
    card_names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "_hold", lambda name: False)
    assert of_another_job() == 0 and [of_another_job(local_rank) for local_rank in (0, 1)] == [0, 1]


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
