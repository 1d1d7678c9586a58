"""What a process takes of the work, and what stops it before any is done."""

import logging

import pytest
import torch

from diffdistill.errors import UserError
from diffdistill.runtime import devices, processes
from diffdistill.runtime.processes import Processes

VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "CUDA_VISIBLE_DEVICES", "SLURM_GPUS_ON_NODE")


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize(("total", "count"), [(1024, 3), (8, 4), (5, 4), (7, 1)])
def test_every_row_has_one_process(total: int, count: int) -> None:
    shares = [range(total)[Processes(rank, count).share(total)] for rank in range(count)]
    assert [row for share in shares for row in share] == list(range(total))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_alone_everything_is_as_it_was() -> None:
    with processes.init(1) as alone:
        values = torch.ones(3)
        alone.all_reduce(values)
        alone.broadcast([values])
        alone.barrier()
        assert alone.is_main and torch.equal(values, torch.ones(3)) and alone.run_on_main(lambda: 5) == 5


def test_what_the_first_process_refuses_is_refused() -> None:
    def refuse() -> int:
        raise UserError("no such file")

    with pytest.raises(UserError, match="no such file"):
        processes.SINGLE.run_on_main(refuse)


def test_another_number_of_processes_than_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"train\.devices is 4, but 1 process was started"), processes.init(4):
        pass
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match=r"train\.devices is 4, but 2 processes were started"), processes.init(4):
        pass
    monkeypatch.setenv("WORLD_SIZE", "two")
    with pytest.raises(UserError, match="WORLD_SIZE is 'two'"), processes.init(1):
        pass


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
    ("rank", "local_rank", "heard"),
    [("0", "0", ["begun", "wrong", "unexpected"]), ("4", "0", ["wrong", "unexpected"]), ("1", "1", ["unexpected"])],
)
def test_who_logs_what(
    rank: str, local_rank: str, heard: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("LOCAL_RANK", local_rank)
    logger = logging.getLogger(f"test.{rank}")
    arguments = processes.silence_workers(logger, ["--threads", "2", "--log", "400.log", "--in", "a=b"])
    assert ("--log" in arguments) == (rank == "0") and arguments[-2:] == ["--in", "a=b"]
    with caplog.at_level(logging.INFO):
        logger.info("begun")
        logger.error("wrong")
        try:
            raise RuntimeError
        except RuntimeError:
            logger.exception("unexpected")
    assert [record.message for record in caplog.records] == heard


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
    assert devices.precision("float32", cpu) == torch.float32 and devices.precision("bfloat16", cpu) == torch.bfloat16
