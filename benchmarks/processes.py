"""Running a stage as a process of its own, hindered in some way; a warm parent spares it the seconds of its imports."""

import importlib
import multiprocessing
import os
import resource
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

STAGES = (
    "prepare",
    "train",
    "weights",
    "classifier",
    "fid_reference",
    "fid",
    "checkpoint",
    "sample",
    "evaluate",
    "accuracy",
    "history",
)
WARM = [
    *(f"diffdistill.stages.{stage}" for stage in STAGES), "diffdistill.data.fetching", "diffdistill.__main__",
    "diffdistill.runtime.devices", "sklearn.datasets", "torch._dynamo", "requests", "pooch",
]  # fmt: skip
"""Modules that the parent has imported before it starts a process."""
NOBODY = 65534
"""A user without rights, where the tests run as root, who may do everything."""


@dataclass(frozen=True)
class Ended:
    code: int
    """Negative: the number of the signal that ended it."""
    said: str
    """Its standard output and error."""

    def refused(self, *parts: str) -> None:
        """It ended as the person at the keyboard wants it: one line of error with these parts, no traceback."""
        assert self.code == 2, self.said
        assert "Traceback" not in self.said and "Logging error" not in self.said, self.said
        errors = [line for line in self.said.splitlines() if "error: " in line]
        assert len(errors) == 1, self.said
        for part in parts:
            assert part in errors[0], errors[0]


@dataclass
class Hindrance:
    """What stands in the way of a process."""

    file_bytes: int | None = None
    """The largest file it may write."""
    more_memory: int | None = None
    """Bytes it may take beyond those it starts with."""
    unprivileged: bool = False
    before: Callable[[], None] | None = None
    """Called in the process, before the stage."""
    environment: dict[str, str] = field(default_factory=dict)


def _in_child(argv: list[str], folder: str, said: str, hindrance: Hindrance) -> None:
    os.setpgid(0, 0)
    descriptor = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.environ.update(hindrance.environment)
    os.chdir(folder)
    entry = importlib.import_module("diffdistill.__main__")
    if hindrance.before is not None:
        hindrance.before()
    if hindrance.file_bytes is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # as Python sets it at its start
        resource.setrlimit(resource.RLIMIT_FSIZE, (hindrance.file_bytes, hindrance.file_bytes))
    if hindrance.more_memory is not None:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + hindrance.more_memory
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    if hindrance.unprivileged and os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    code = entry.main(argv)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class Process:
    """A stage that runs."""

    def __init__(self, argv: list[str], folder: Path, hindrance: Hindrance | None = None) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(WARM)
        self._said = folder.with_name(f"{folder.name}.said")
        self._said.unlink(missing_ok=True)
        arguments = (argv, str(folder), str(self._said), hindrance or Hindrance())
        self._process = context.Process(target=_in_child, args=arguments)
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def wait(self, seconds: float = 120) -> Ended | None:
        """None if it still runs after so many seconds."""
        self._process.join(seconds)
        if self._process.exitcode is None:
            return None
        said = self._said.read_text(errors="replace") if self._said.exists() else ""
        return Ended(self._process.exitcode, said)

    def kill(self) -> bool:
        """Whether it hit: the process had not ended."""
        self._process.kill()
        self._process.join()
        return self._process.exitcode == -signal.SIGKILL


def run(argv: list[str], folder: Path, hindrance: Hindrance | None = None) -> Ended:
    """A stage run to its end in `folder`."""
    process = Process(argv, folder, hindrance)
    ended = process.wait()
    if ended is None:
        process.kill()
        raise AssertionError(f"{argv[0]} still runs")
    return ended
