"""Reads the results of several experiments, as the rules name them: files of one kind in the experiments' order."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from diffdistill.errors import UserError
from diffdistill.runtime import files


@dataclass(frozen=True)
class Results:
    """By experiment name."""

    experiments: dict[str, Any]
    accuracy: dict[str, pd.DataFrame]
    baselines: dict[str, pd.DataFrame]
    fid: dict[str, pd.DataFrame]
    loss: dict[str, pd.DataFrame]
    budget: dict[str, Any]


def read(config: dict[str, Any], inputs: Mapping[str, list[Path]]) -> Results:
    """Raises UserError if a file is missing or there are not as many as experiments."""
    names = list(config["experiments"])

    def each(kind: str) -> dict[str, Path]:
        paths = inputs.get(kind, [])
        if len(paths) != len(names):
            raise UserError(f"--in {kind}=…: {len(paths)} files for {len(names)} experiments ({', '.join(names)})")
        return dict(zip(names, paths, strict=True))

    tables = {
        kind: {name: pd.read_csv(path) for name, path in each(kind).items()}
        for kind in ("accuracy", "baselines", "fid", "loss")
    }
    budget = {name: files.read_json(path) for name, path in each("budget").items()}
    return Results(config["experiments"], budget=budget, **tables)
