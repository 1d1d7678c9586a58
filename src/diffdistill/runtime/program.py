"""The command line that all stages share: --config JSON, --in and --out with names, --log, --threads."""

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
from typing import Any

from tqdm import tqdm

from diffdistill.errors import UserError

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
    errno.EIO: "see to the disk",
    errno.ENAMETOOLONG: "give a shorter name",
}
"""What the person can do about errors of the operating system that name no file or that need words."""


class _Settings(dict[str, Any]):
    """The values given as --config."""

    def __missing__(self, key: str) -> Any:
        raise UserError(f"--config: '{key}' is missing; give it, or run the stage by its rule")


@dataclass(frozen=True)
class Job:
    """What one run of a stage was asked to do."""

    config: dict[str, Any]
    inputs: Mapping[str, list[Path]]
    outputs: Mapping[str, list[Path]]
    threads: int

    def input(self, name: str) -> Path:
        """The only file given as --in name=path."""
        return _only(self.inputs, "--in", name)

    def output(self, name: str) -> Path:
        """The only file given as --out name=path."""
        return _only(self.outputs, "--out", name)

    def all_inputs(self, name: str) -> list[Path]:
        """The files given as --in name=path, one at least."""
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
        logger.warning("%s: the log cannot be written (%s); going on without it", self.baseFilename, sys.exc_info()[1])


def _start_log() -> None:
    logger.handlers = []
    logger.setLevel(logging.INFO)
    logger.propagate = False
    _add(_TqdmHandler())


def _add(handler: logging.Handler) -> None:
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    logger.addHandler(handler)


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
        reason, remedy = os.strerror(error.errno).lower(), REMEDIES.get(error.errno, "see to it")
        return f"{error.filename or 'a file'}: {reason}; {remedy}, then run the same command again"
    return None


def run(
    stage: Callable[[Job], None],
    argv: Sequence[str] | None,
    doc: str | None,
    *,
    memory_setting: str = "its batch_size",
) -> int:
    """Parse the arguments, run the stage, and turn what the person can mend into one line and exit code 2.

    memory_setting: what of the config to lower where memory is short.
    """
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--config", default="{}", metavar="JSON", help="the part of the config that this stage reads")
    parser.add_argument("--in", dest="inputs", nargs="*", default=[], metavar="NAME=PATH")
    parser.add_argument("--out", dest="outputs", nargs="*", default=[], metavar="NAME=PATH")
    parser.add_argument("--log", type=Path, help="also write the log to this file")
    parser.add_argument("--threads", type=int, default=_cores())
    arguments = parser.parse_args(argv)
    _start_log()
    started, kept = time.monotonic(), None
    try:
        if arguments.log is not None:
            kept = _log_to(arguments.log)
        logger.info("command: %s", shlex.join(sys.orig_argv))
        if arguments.threads < 1:
            raise UserError(f"--threads {arguments.threads}: at least 1 is needed")
        os.environ["OMP_NUM_THREADS"] = str(arguments.threads)  # before torch is imported by the stage
        inputs, outputs = _named(arguments.inputs, "--in"), _named(arguments.outputs, "--out")
        stage(Job(_parsed(arguments.config), inputs, outputs, arguments.threads))
    except UserError as error:
        logger.error("error: %s", error)
        return 2
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one would end this in a traceback
        logger.error("stopped from the keyboard; the same command goes on")
        return 130
    except Exception as error:
        line = _in_one_line(error, memory_setting)
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


def _parsed(text: str) -> _Settings:
    try:
        values = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise UserError(f"--config: not valid JSON ({error}); quote it as the log's first line does") from error
    if not isinstance(values, dict):
        raise UserError(f'--config: a JSON object is needed, found {text[:50]!r}; write it as {{"key": value}}')
    return _Settings(values)


def _cores() -> int:
    """Those this process may use, where the system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
