"""What a process takes of the work, and what stops it before any is done."""

import pytest
import torch

from diffdistill.errors import UserError
from diffdistill.runtime import processes
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
