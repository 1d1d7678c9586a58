"""The processes of one job: which one this is, what it takes of the work, and how all of them agree.

Whoever starts them says so in torchrun's variables RANK, WORLD_SIZE, LOCAL_RANK and LOCAL_WORLD_SIZE; a job without
these is one process. They talk through gloo, and on GPUs through NCCL. Run as a program, this module is torchrun for
one machine: python -m diffdistill.runtime.processes COUNT MODULE ARGUMENTS... With torchrun's variables PET_NNODES,
PET_MASTER_ADDR and PET_MASTER_PORT, the processes of several machines meet there; `nodes` sets them.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import run as torchrun
from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

from diffdistill.errors import UserError
from diffdistill.runtime import devices

TIMEOUT = timedelta(hours=1)
"""How long the others wait for one of them, which may be saving to a slow disk; a dead one is noticed at once."""

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """This process among `count`; alone without arguments, when all of its methods cost nothing."""

    rank: int = 0
    count: int = 1
    local_count: int = 1
    """Processes on this machine."""
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def is_main(self) -> bool:
        """Whether this is the process that reads states, writes and logs."""
        return self.rank == 0

    def share(self, total: int) -> slice:
        """The rows of `total` that this process takes: every row has one process, shares differ by one row at most."""
        return slice(self.rank * total // self.count, (self.rank + 1) * total // self.count)

    def all_reduce(self, tensor: Tensor) -> None:
        """Replace the tensor by its sum over all processes; the result has the same bits in each of them."""
        if self.count > 1:
            with _all_there():
                dist.all_reduce(tensor)

    def broadcast(self, tensors: Iterable[Tensor]) -> None:
        """Replace the tensors by those of the first process."""
        for tensor in tensors if self.count > 1 else ():
            with _all_there():
                dist.broadcast(tensor, 0)

    def barrier(self) -> None:
        """Return when all processes have come here."""
        self.all_reduce(torch.zeros(1))

    def run_on_main(self, work: Callable[[], T]) -> T | None:
        """What `work` returns, in the first process, which alone does it; the others wait, and get None.

        Raises what it raises, and in the others a UserError that says so.
        """
        result, failure = None, None
        if self.is_main:
            try:
                result = work()
            except Exception as error:
                failure = error
        if self.count > 1:
            told = [failure and (str(failure) or type(failure).__name__)]
            with _all_there():
                dist.broadcast_object_list(told, 0, device=torch.device("cpu"))
            if told[0] and not self.is_main:
                raise UserError(told[0])
        if failure is not None:
            raise failure
        return result


@contextmanager
def _all_there() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"another process of this job ended, its own message says why ({reason})") from error


SINGLE = Processes()


@contextmanager
def init(wanted: int, setting: str = "train.devices") -> Iterator[Processes]:
    """The processes of this job, connected; `wanted` is their number by the named setting.

    Raises UserError with both numbers if another number was started or granted, before anything else is done.
    """
    rank, count = _number("RANK", 0), _number("WORLD_SIZE", 1)
    local_rank, local_count = _number("LOCAL_RANK", 0), _number("LOCAL_WORLD_SIZE", 1)
    if count != wanted:
        raise UserError(
            f"{setting} is {wanted}, but {count} process{'es were' if count > 1 else ' was'} started: start it by "
            f"torchrun, or by python -m diffdistill.runtime.processes {wanted} MODULE ..., or set {setting}"
        )
    devices.require_gpus(max(local_count, local_rank + 1), setting)
    device = devices.best_device(local_rank if count > 1 else None)
    if count > 1:
        # flags and counters stay on the CPU, where nobody waits for a GPU
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=TIMEOUT)
    yield Processes(rank, count, local_count, device)
    if count > 1:  # not after an error: the others may never come
        dist.destroy_process_group()


def _number(variable: str, alone: int) -> int:
    value = os.environ.get(variable, str(alone))
    if not value.isdecimal():
        raise UserError(f"the variable {variable} is '{value}', a number is needed; unset it or start by torchrun")
    return int(value)


def main(argv: Sequence[str]) -> int:
    """Run `python -m MODULE ARGUMENTS...` as COUNT processes; their exit code, without torchrun's own traceback."""
    count, *command = argv
    # what a scheduler warns by is passed on; a thread each until the processes say otherwise
    os.environ.setdefault("PET_SIGNALS_TO_HANDLE", "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("PYTHONSAFEPATH", "1")  # as -P for a job of one process
    alone = os.environ.get("PET_NNODES", "1") == "1"
    if not alone and "SLURM_NODEID" in os.environ:
        os.environ.setdefault("PET_NODE_RANK", os.environ["SLURM_NODEID"])
    meeting = ["--standalone", "--local-addr", "localhost"] if alone else []
    try:  # without "--" it takes --log for one of its own
        torchrun.main([*meeting, "--nproc-per-node", count, "-m", "--", *command])
    except ChildFailedError as error:
        code = error.get_first_failure()[1].exitcode
        return code if code >= 0 else 128 - code
    except SignalException as error:
        return 128 + error.sigval
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
