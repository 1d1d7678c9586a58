"""What a job that can be stopped needs: a lock on its output, a progress file, a signal, and when to save.

Progress lies beside the output in a file that no rule declares, because Snakemake deletes the declared outputs of a job
that failed: the same command resumes from it.
"""

import errno
import fcntl
import json
import logging
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from diffdistill.errors import UserError
from diffdistill.runtime import files

logger = logging.getLogger(__name__)

NO_FLOCK = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}
"""Errors of flock on file systems without it, such as Lustre or NFS without its lock daemon."""
STALE_SECONDS = 1800.0
"""A lock of another machine that was not refreshed for so long is taken for one of a dead process."""
REFRESH_SECONDS = 60.0
POLL_SECONDS = 1.0


class StopSignal:
    """Remembers SIGTERM or SIGUSR1 from when it is made; `number` is 0 until one comes."""

    def __init__(self) -> None:
        self.number = 0
        for number in (signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, self._remember)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.number = number


class Progress:
    """The progress file of an output, its lock, and when to save next."""

    def __init__(self, output: Path | str, save_seconds: float) -> None:
        """save_seconds: between two saves."""
        self.output = Path(output)
        self.path = self.output.with_name(f"{self.output.stem}.progress{self.output.suffix}")
        self._save_seconds = save_seconds
        self._saved = self._refreshed = time.monotonic()
        self._exclusive: Path | None = None

    def existing(self) -> list[Path]:
        """The output and the progress file, where they exist: what a job can resume from, the best first."""
        return [path for path in (self.output, self.path) if path.exists()]

    def due(self) -> bool:
        """Whether it is time to save; to be asked after every iteration. True once per interval."""
        now = time.monotonic()
        if self._exclusive is not None and now - self._refreshed >= REFRESH_SECONDS:
            with suppress(OSError):
                os.utime(self._exclusive)
            self._refreshed = now
        if now - self._saved < self._save_seconds:
            return False
        self._saved = now
        return True

    def finish(self) -> None:
        """Remove the progress file: the output is complete."""
        self.path.unlink(missing_ok=True)

    @contextmanager
    def lock(self, wait: bool | None = None) -> Iterator[None]:
        """Refuse a second job on the same output; the lock ends with the process, however it ends.

        wait: wait for the other job instead, whose output is then there; None: in a SLURM job, where the other is one
        whose submitting process was killed. Raises UserError if another process has the lock.
        """
        wait = "SLURM_JOB_ID" in os.environ if wait is None else wait
        path = self.path.with_suffix(".lock")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            handle = _flocked(path, self.output, wait)
        except OSError as error:
            if error.errno not in NO_FLOCK:
                raise
            logger.warning("%s: this file system has no flock; locking by an exclusive file", path.parent)
            path.unlink(missing_ok=True)
            path = path.with_suffix(".exclusive")
            _exclusive(path, self.output, wait)
            handle, self._exclusive = None, path
        try:
            yield
        finally:
            self._exclusive = None
            path.unlink(missing_ok=True)
            if handle is not None:
                os.close(handle)


def _flocked(path: Path, output: Path, wait: bool) -> int:
    """An open descriptor of the lock file, locked. Raises UserError if it is taken, OSError without flock."""
    while True:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o666)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if not wait:
                    raise _taken(output) from error
                logger.info("another process makes %s; waiting for it", output)
                fcntl.flock(handle, fcntl.LOCK_EX)
            if path.exists() and os.path.samestat(os.fstat(handle), path.stat()):
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # the one who held it has removed the file, and a third may have made another


def _exclusive(path: Path, output: Path, wait: bool) -> None:
    """Make the lock file, which names this process. Raises UserError if another process has it."""
    told = False
    while True:
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError as error:
            holder = _holder(path)
            if holder is None:
                continue  # removed, or stale
            if not wait:
                raise _taken(output, f" ({holder}; if it no longer runs, delete {path})") from error
            if not told:
                logger.info("%s makes %s; waiting for it", holder, output)
            told = True
            time.sleep(POLL_SECONDS)
            continue
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump({"host": socket.gethostname(), "pid": os.getpid()}, file)
        return


def _holder(path: Path) -> str | None:
    """Who has the exclusive lock file; None if it is gone, or stale, in which case it is removed."""
    try:
        age = time.time() - path.stat().st_mtime
        holder = json.loads(path.read_text(encoding="utf-8") or "{}")
    except FileNotFoundError:
        return None
    except ValueError:
        age, holder = time.time() - path.stat().st_mtime, {}
    host, pid = holder.get("host"), holder.get("pid")
    here = host == socket.gethostname() and isinstance(pid, int)
    stale = not _runs(pid) if here else age > STALE_SECONDS
    if not stale:
        return f"process {pid} on {host}"
    logger.warning("%s: left by process %s on %s, which no longer runs; removing it", path, pid, host)
    path.unlink(missing_ok=True)
    return None


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _taken(output: Path, who: str = "") -> UserError:
    return UserError(f"{output}: another process is making this file{who}; wait for it or stop it")


def attempt(output: Path | str) -> int:
    """Count the attempts at an output, this one included, in a file beside it: 1, 2, … until `attempts_over`."""
    path = _attempts_file(output)
    try:
        count = 1 + int(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        count = 1
    files.write_text(path, str(count))
    return count


def attempts_over(output: Path | str) -> None:
    """Forget the attempts: the output is complete."""
    _attempts_file(output).unlink(missing_ok=True)


def _attempts_file(output: Path | str) -> Path:
    output = Path(output)
    return output.with_name(f"{output.stem}.attempts")
