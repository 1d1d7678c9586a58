"""The command line that all stages share: --config JSON, --in and --out with names, --log, --threads."""

import argparse
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from diffdistill.errors import UserError

logger = logging.getLogger("diffdistill")


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


def _start_log(path: Path | None) -> None:
    form = logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S")
    handlers: list[logging.Handler] = [_TqdmHandler()]
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(path, encoding="utf-8"))
    for handler in handlers:
        handler.setFormatter(form)
    logger.handlers = handlers
    logger.setLevel(logging.INFO)
    logger.propagate = False


def run(stage: Callable[[Job], None], argv: Sequence[str] | None, doc: str | None) -> int:
    """Parse the arguments, run the stage, and turn a UserError into one line and exit code 2."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--config", default="{}", metavar="JSON", help="the part of the config that this stage reads")
    parser.add_argument("--in", dest="inputs", nargs="*", default=[], metavar="NAME=PATH")
    parser.add_argument("--out", dest="outputs", nargs="*", default=[], metavar="NAME=PATH")
    parser.add_argument("--log", type=Path, help="also write the log to this file")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    arguments = parser.parse_args(argv)
    _start_log(arguments.log)
    started = time.monotonic()
    logger.info("command: %s", " ".join(sys.argv))
    try:
        if arguments.threads < 1:
            raise UserError(f"--threads {arguments.threads}: at least 1 is needed")
        os.environ["OMP_NUM_THREADS"] = str(arguments.threads)  # before torch is imported by the stage
        try:
            config = json.loads(arguments.config)
        except json.JSONDecodeError as error:
            raise UserError(f"--config: not valid JSON ({error})") from error
        stage(Job(config, _named(arguments.inputs, "--in"), _named(arguments.outputs, "--out"), arguments.threads))
    except UserError as error:
        logger.error("error: %s", error)
        return 2
    except Exception:
        logger.exception("unexpected error; please report it with this log")
        return 1
    logger.info("done in %.1f s", time.monotonic() - started)
    return 0
