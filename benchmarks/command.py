"""The command line of a stage, built from its typed settings."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from diffdistill import config
from diffdistill.__main__ import main as main
from diffdistill.config import Block

Paths = Mapping[str, Path | str] | Iterable[tuple[str, Path | str]]


def arguments(
    stage: str, settings: Block | Mapping[str, Any] | None, inputs: Paths, outputs: Paths, *, threads: int = 1
) -> list[str]:
    """What follows `python -m diffdistill`; a mapping in place of settings is for wrong ones."""
    text = config.as_json(settings) if isinstance(settings, Block) else json.dumps(dict(settings or {}))
    return [
        stage, "--settings", text, "--threads", str(threads), "--in", *pairs(inputs), "--out", *pairs(outputs),
    ]  # fmt: skip


def pairs(paths: Paths) -> list[str]:
    """name=path for each."""
    items = paths.items() if isinstance(paths, Mapping) else paths
    return [f"{name}={path}" for name, path in items]


def run(stage: str, settings: Block | Mapping[str, Any] | None, inputs: Paths, outputs: Paths) -> int:
    """The exit code of a stage, run in this process with one thread."""
    return main(arguments(stage, settings, inputs, outputs))
