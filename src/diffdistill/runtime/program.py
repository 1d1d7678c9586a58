"""The command line that all stages share: settings as JSON, input and output files by name, log and threads."""

import argparse
import errno
import itertools
import json
import logging
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from tqdm import tqdm

from diffdistill.config.fields import Block, describe, read
from diffdistill.errors import UserError
from diffdistill.runtime import files, progress

logger = logging.getLogger("diffdistill")

OUT_OF_MEMORY = ("can't allocate memory", "could not create a primitive", "could not execute a primitive")
"""How torch's allocator says it, and how oneDNN does, which multiplies bfloat16."""
REMEDIES = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space or ask for a larger quota",
    errno.EFBIG: "raise the limit of a file's size (ulimit -f)",
    errno.EROFS: "make the file system writable or write elsewhere",
    errno.EACCES: "give this user access",
    errno.EPERM: "give this user access",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.EIO: "check the disk",
    errno.ENAMETOOLONG: "give a shorter name",
}
"""What the user can do about an error of the operating system."""


S = TypeVar("S", bound=Block)


@dataclass(frozen=True)
class Job(Generic[S]):
    """What one run of a stage was asked to do."""

    settings: S
    inputs: Mapping[str, list[Path]]
    outputs: Mapping[str, list[Path]]
    threads: int

    def input(self, name: str) -> Path:
        """The only file given as --in name=path. Raises UserError if it is missing or given twice."""
        return _only(self.inputs, "--in", name)

    def output(self, name: str) -> Path:
        """The only file given as --out name=path. Raises UserError if it is missing or given twice."""
        return _only(self.outputs, "--out", name)

    def all_inputs(self, name: str) -> list[Path]:
        """The files given as --in name=path. Raises UserError if there is none."""
        if not self.inputs.get(name):
            raise UserError(f"--in {name}=PATH is missing; give it at least once")
        return self.inputs[name]


def _only(files: Mapping[str, list[Path]], option: str, name: str) -> Path:
    paths = files.get(name, [])
    if len(paths) != 1:
        raise UserError(f"{option} {name}=PATH must be given exactly once, found {len(paths)}")
    return paths[0]


def _named(pairs: Sequence[str], option: str) -> dict[str, list[Path]]:
    files: dict[str, list[Path]] = {}
    for pair in pairs:
        name, separator, path = pair.partition("=")
        if not separator or not path:
            raise UserError(f"{option} {pair}: write it as name=path")
        files.setdefault(name, []).append(Path(path))
    return files


class _TqdmHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes above a running progress bar instead of through it."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(self.format(record), file=sys.stderr)


class _FileHandler(logging.FileHandler):
    """A log that cannot be written, as on a full disk, does not end the work: it is said once, without a traceback."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        logger.removeHandler(self)
        if not any(isinstance(handler, _TqdmHandler) for handler in logger.handlers):
            _add(_TqdmHandler())
        logger.warning("%s: the log cannot be written (%s); going on without it", self.baseFilename, sys.exc_info()[1])


class _Formatter(logging.Formatter):
    """Names the level of warnings and errors, by which the workflow's terminal finds them in a log."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        level = record.levelname.lower()
        if record.levelno >= logging.WARNING and not record.message.startswith(f"{level}: "):
            record.message = f"{level}: {record.message}"
        return super().formatMessage(record)


def _start_log() -> None:
    logger.handlers = []
    logger.setLevel(logging.INFO)
    logger.propagate = False
    _add(_TqdmHandler())


def _add(handler: logging.Handler) -> None:
    handler.setFormatter(_Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    if _is_worker():
        handler.addFilter(_only_errors)
    logger.addHandler(handler)


def _leave_terminal(log: Path) -> None:
    """Log to the file alone, and write progress beside it: the workflow shows both."""
    logger.handlers = [handler for handler in logger.handlers if not isinstance(handler, _TqdmHandler)]
    progress.write_to(progress.beside(log))


def _log_to(path: Path) -> Path | None:
    """Log to a file too. Its second name, which outlives the file: a workflow deletes a log before it tries again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _add(_FileHandler(path, encoding="utf-8", errors="backslashreplace"))
    for attempt in itertools.count(1):
        second = path.with_name(f"{path.stem}.attempt-{attempt}{path.suffix}")
        try:
            os.link(path, second)
            return second
        except FileExistsError:
            continue
        except OSError:  # a file system without links
            break
    return None


def _in_one_line(error: Exception, memory_setting: str) -> str | None:
    """What the machine refused, and what to do; None where the error is not the machine's."""
    what = " ".join(str(error).split())
    exhausted = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    if exhausted or any(said in what for said in OUT_OF_MEMORY):
        return f"out of memory ({what[:200] or type(error).__name__}); give the job more, or lower {memory_setting}"
    if isinstance(error, OSError) and error.errno is not None and (error.filename or error.errno in REMEDIES):
        reason, remedy = os.strerror(error.errno).lower(), REMEDIES.get(error.errno, "fix that")
        return f"{error.filename or 'a file'}: {reason}; {remedy}, then run the same command again"
    return None


def run(name: str, stage: Callable[[], Callable[[Job[S]], None]], settings: type[S], argv: Sequence[str]) -> int:
    """Parse the arguments of a stage, run it, and turn what the user can fix into one line and exit code 2.

    stage: gives the stage's function; called after the settings are checked, because its import takes seconds.
    """
    arguments = _parser(name, settings).parse_args(argv)
    _start_log()
    started, kept = time.monotonic(), None
    try:
        if arguments.log is not None and not _is_worker():
            kept = _log_to(arguments.log)
            if progress.is_hidden():
                _leave_terminal(arguments.log)
        logger.info("command: %s", shlex.join(sys.orig_argv))
        if arguments.threads < 1:
            raise UserError(f"--threads {arguments.threads}: at least 1 is needed")
        os.environ["OMP_NUM_THREADS"] = str(arguments.threads)  # before torch is imported by the stage
        inputs, outputs = _named(arguments.inputs, "--in"), _named(arguments.outputs, "--out")
        parsed = _settings(settings, arguments.settings, arguments.settings_file)
        stage()(Job(parsed, inputs, outputs, arguments.threads))
    except UserError as error:
        logger.error("error: %s", error)
        return 2
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one would end this in a traceback
        logger.error("stopped from the keyboard; the same command goes on")
        return 130
    except Exception as error:
        line = _in_one_line(error, getattr(settings, "lower_for_memory", "batch_size"))
        if line is None:
            logger.exception("unexpected error; please report it with this log")
            return 1
        logger.error("error: %s", line)
        return 2
    logger.info("done in %.1f s", time.monotonic() - started)
    if kept is not None:
        with suppress(OSError):
            kept.unlink()
    return 0


def _parser(name: str, settings: type[Block]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m diffdistill {name}",
        description=settings.__doc__,
        epilog=f"settings:\n{describe(settings)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    given = parser.add_mutually_exclusive_group()
    given.add_argument("--settings", default=None, metavar="JSON", help="the settings below, as one JSON object")
    given.add_argument("--settings-file", type=Path, metavar="PATH", help="a file that holds them")
    parser.add_argument("--in", dest="inputs", nargs="*", default=[], metavar="NAME=PATH")
    parser.add_argument("--out", dest="outputs", nargs="*", default=[], metavar="NAME=PATH")
    parser.add_argument("--log", type=Path, help="also write the log to this file")
    parser.add_argument("--threads", type=int, default=_cores())
    return parser


def _is_worker() -> bool:
    """Whether this is another process than the first of a job that torchrun started."""
    return os.environ.get("RANK", "0") != "0"


def _only_errors(record: logging.LogRecord) -> bool:
    """What such a process logs: unexpected errors, and other errors if it is the first on its machine."""
    first_here = os.environ.get("LOCAL_RANK", "0") == "0"
    return bool(record.exc_info) or (first_here and record.levelno >= logging.ERROR)


def _settings(settings: type[S], text: str | None, path: Path | None) -> S:
    """Raises UserError naming the key and value that are wrong."""
    where = "--settings" if path is None else str(path)
    if path is not None:
        values = files.read_json(path)
    else:
        try:
            values = json.loads("{}" if text is None else text)
        except (json.JSONDecodeError, RecursionError) as error:
            raise UserError(f"{where}: not valid JSON ({error}); quote it as the log's first line does") from error
    if not isinstance(values, dict):
        raise UserError(f'{where}: a JSON object is needed, found {str(values)[:50]!r}; write it as {{"key": value}}')
    return read(settings, values, where)


def _cores() -> int:
    """Those this process may use, where the system says."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
