"""Reads the results of several experiments, as the rules name them: files of one kind in the experiments' order."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from diffdistill.errors import UserError
from diffdistill.runtime import files

RUNS = ("dataset", "train_set", "images", "seed", "accuracy")
COLUMNS = {
    "accuracy": RUNS,
    "baselines": RUNS,
    "fid": ("step", "fid", "images", "features", "solver", "evaluations", "parameters"),
    "loss": ("iteration", "loss", "images_per_second"),
}
LEADERBOARD = ("track", "rank", "team", "cifar100", "tinyimagenet", "average")
NAMES = dict.fromkeys(("dataset", "train_set", "features", "solver", "team", "value"), str)  # digits too


@dataclass(frozen=True)
class Results:
    """By experiment name."""

    experiments: dict[str, Any]
    accuracy: dict[str, pd.DataFrame]
    baselines: dict[str, pd.DataFrame]
    fid: dict[str, pd.DataFrame]
    loss: dict[str, pd.DataFrame]
    budget: dict[str, Any]

    def features(self) -> dict[str, str]:
        """What each FID is taken between. A classifier is named by the first experiment that trains it so."""
        owners: dict[str, str] = {}
        described = {}
        for name, experiment in self.experiments.items():
            described[name] = f"{self.fid[name]['features'].iloc[0]} features"
            if described[name] == "classifier features":
                fid = experiment["settings"]["fid"]
                protocol = fid["classifier"] or experiment["settings"]["evaluate"]["protocol"]
                made_by = json.dumps([experiment["dataset"], protocol, fid["seed"]], sort_keys=True)
                described[name] += f" ({owners.setdefault(made_by, name)})"
        return described


def table(path: Path, columns: Sequence[str] = ()) -> pd.DataFrame:
    """A csv file with at least these columns and one row. Raises UserError naming the file otherwise."""
    try:
        found = pd.read_csv(path, dtype=NAMES)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; run the rule that makes it") from error
    except (UnicodeDecodeError, ValueError) as error:  # pandas' own errors of parsing are ValueErrors
        raise UserError(f"{path}: not a readable table ({error}); delete it and run again") from error
    if missing := [column for column in columns if column not in found]:
        raise UserError(f"{path}: no column {', '.join(missing)}; delete it and run again")
    if found.empty:
        raise UserError(f"{path}: not a single row; delete it and run again")
    return found


def of_each(config: dict[str, Any], inputs: Mapping[str, list[Path]], kind: str) -> dict[str, Path]:
    """The files of one kind by experiment. Raises UserError if there are not as many as experiments."""
    names, paths = list(config["experiments"]), inputs.get(kind, [])
    if len(paths) != len(names):
        raise UserError(f"--in {kind}=…: {len(paths)} files for {len(names)} experiments ({', '.join(names)})")
    return dict(zip(names, paths, strict=True))


def read(config: dict[str, Any], inputs: Mapping[str, list[Path]]) -> Results:
    """config["experiments"] names the experiments, in the order of the files of each kind.

    Raises UserError if a file is missing or broken, belongs to another experiment, or there are not as many as
    experiments.
    """
    tables = {
        kind: {name: table(path, columns) for name, path in of_each(config, inputs, kind).items()}
        for kind, columns in COLUMNS.items()
    }
    for kind in ("accuracy", "baselines"):
        for name, path in of_each(config, inputs, kind).items():
            runs = tables[kind][name]
            if set(runs["dataset"]) != {name}:
                raise UserError(f"{path}: holds runs of {', '.join(sorted(set(runs['dataset'])))}, expected {name}")
            if not runs["accuracy"].between(0, 1).all():
                raise UserError(f"{path}: an accuracy is not within 0 and 1; delete it and run again")
    budget = {name: files.read_json(path) for name, path in of_each(config, inputs, "budget").items()}
    return Results(config["experiments"], budget=budget, **tables)
