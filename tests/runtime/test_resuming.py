"""One job per output, with flock and without; what a dead one leaves is no obstacle."""

import errno
import fcntl
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from diffdistill.errors import UserError
from diffdistill.runtime import resuming
from diffdistill.runtime.resuming import Progress, StopSignal


@pytest.fixture
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_is_remembered(handlers: None, number: signal.Signals) -> None:
    stop = StopSignal()
    assert stop.number == 0
    os.kill(os.getpid(), number)
    assert stop.number == number


def test_what_a_job_resumes_from(tmp_path: Path) -> None:
    progress = Progress(str(tmp_path / "5.safetensors"), 60)
    assert progress.path == tmp_path / "5.progress.safetensors" and progress.existing() == []
    progress.path.touch()
    assert progress.existing() == [progress.path]
    progress.output.touch()
    assert progress.existing() == [progress.output, progress.path]
    progress.finish()
    assert progress.existing() == [progress.output]


def test_when_to_save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 101.0, 109.9, 110.0, 110.1, 119.9, 120.5, 121.0])
    monkeypatch.setattr(resuming.time, "monotonic", lambda: next(clock))
    progress = Progress(tmp_path / "5.safetensors", 10)
    assert [progress.due() for _ in range(7)] == [False, False, True, False, False, True, False]


def without_flock(monkeypatch: pytest.MonkeyPatch, number: int = errno.ENOLCK) -> None:
    def refused(handle: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refused)


@pytest.mark.parametrize("flock", [True, False])
def test_a_second_job_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flock: bool) -> None:
    if not flock:
        without_flock(monkeypatch)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    output = tmp_path / "new" / "5.safetensors"
    with Progress(output, 60).lock():
        with (
            pytest.raises(UserError, match=r"5\.safetensors: another process is making this file"),
            Progress(output, 60).lock(),
        ):
            pytest.fail("locked twice")
        assert len(list(output.parent.glob("5.progress.*"))) >= 1
    with Progress(output, 60).lock():
        pass
    assert not list(output.parent.glob("*.exclusive"))


@pytest.mark.parametrize("flock", [True, False])
def test_a_job_in_a_queue_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flock: bool) -> None:
    if not flock:
        without_flock(monkeypatch)
    monkeypatch.setattr(resuming, "POLL_SECONDS", 0.05)
    output, order = tmp_path / "5.safetensors", []

    def second() -> None:
        with Progress(output, 60).lock(wait=True):
            order.append("second")

    with Progress(output, 60).lock():
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.2)
        order.append("first")
    thread.join(5)
    assert order == ["first", "second"]


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_flock_is_warned_about_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    without_flock(monkeypatch, number)
    with caplog.at_level(logging.WARNING, "diffdistill"), Progress(tmp_path / "5.safetensors", 60).lock():
        holder = json.loads((tmp_path / "5.progress.exclusive").read_text())
    assert holder == {"host": socket.gethostname(), "pid": os.getpid()}
    assert len(caplog.messages) == 1 and "no flock" in caplog.messages[0]
    assert not list(tmp_path.iterdir())


def dead() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize(
    ("holder", "age", "stale"),
    [
        ({"host": socket.gethostname()}, 0, True),  # its pid is filled in: of a dead process
        ({"host": "elsewhere", "pid": 1}, 0, False),
        ({"host": "elsewhere", "pid": 1}, 3600, True),
        (None, 0, False),  # just made, not yet written
        (None, 3600, True),
    ],
)
def test_a_lock_of_a_dead_process_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, holder: dict[str, Any] | None, age: float, stale: bool
) -> None:
    without_flock(monkeypatch)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    lock = tmp_path / "5.progress.exclusive"
    lock.write_text("" if holder is None else json.dumps({"pid": dead()} | holder))
    os.utime(lock, (time.time() - age, time.time() - age))
    if stale:
        with Progress(tmp_path / "5.safetensors", 60).lock():
            assert json.loads(lock.read_text())["pid"] == os.getpid()
    else:
        with (
            pytest.raises(UserError, match=r"if it no longer runs, delete .*5\.progress\.exclusive"),
            Progress(tmp_path / "5.safetensors", 60).lock(),
        ):
            pytest.fail("locked twice")


def test_a_lock_is_refreshed_while_its_process_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_flock(monkeypatch)
    monkeypatch.setattr(resuming, "REFRESH_SECONDS", 0.0)
    progress = Progress(tmp_path / "5.safetensors", 60)
    with progress.lock():
        lock = tmp_path / "5.progress.exclusive"
        os.utime(lock, (0, 0))
        assert not progress.due()
        assert time.time() - lock.stat().st_mtime < 60


def test_other_errors_of_the_lock_are_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_flock(monkeypatch, errno.EIO)
    with pytest.raises(OSError, match="Input/output error"), Progress(tmp_path / "5.safetensors", 60).lock():
        pytest.fail("locked")


def test_attempts_are_counted_until_one_is_complete(tmp_path: Path) -> None:
    output = tmp_path / "samples.safetensors"
    assert [resuming.attempt(str(output)) for _ in range(3)] == [1, 2, 3]
    resuming.attempts_over(output)
    assert not list(tmp_path.iterdir()) and resuming.attempt(output) == 1
