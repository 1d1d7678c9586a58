"""Reads one JSON per training, of the main evaluation, its baselines and the study; writes them as one table."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from diffdistill.classify import training
from diffdistill.data import image_files
from diffdistill.errors import UserError
from diffdistill.report.study import COLUMNS
from diffdistill.runtime import files, program

KEYS = (
    "dataset",
    "train_set",
    "images",
    "seed",
    "accuracy",
    "epochs",
    "seconds",
    "protocol",
    "trained_on",
    "tested_on",
)
MAIN = {"family": "main", "part": "main", "student": "convnet", "labels": "hard", "round": None}
VARY_PROTOCOL = ("length", "augment")


def stage(job: program.Job) -> None:
    classes = len(json.loads(image_files.load_labels_and_metadata(job.input("distilled"))[1]["classes"]))
    rows = [(path, MAIN | files.read_record(path, *KEYS)) for path in _paths(job)]
    _require_one_study(rows)
    for _, row in rows:
        protocol = training.Protocol(**json.loads(row["protocol"]))
        row["steps"] = training.total_steps(protocol, row["images"])
        row["images_per_class"] = row["images"] / classes
    table = pd.DataFrame([row for _, row in rows])[list(COLUMNS)].astype({"round": "Int64"})
    files.write_text(job.output("table"), table.to_csv(index=False, float_format="%.6g"))


def _paths(job: program.Job) -> list[Path]:
    return [*job.all_inputs("main"), *job.all_inputs("baselines"), *job.inputs.get("runs", [])]


def _require_one_study(rows: list[tuple[Path, dict[str, Any]]]) -> None:
    """Raises UserError where two trainings differ in what a study does not vary."""
    seen: dict[tuple[Any, ...], tuple[Path, Any]] = {}
    for path, row in rows:
        drawn = row["round"] if row["train_set"] == "distilled" else row["train_set"].removesuffix("-random")
        varied = (row["family"], row["train_set"]) if row["part"] in VARY_PROTOCOL else "main"
        fixed = {
            ("dataset",): row["dataset"],
            ("tested_on",): row["tested_on"],
            ("trained_on", drawn): row["trained_on"],
            ("protocol", varied): row["protocol"],
        }
        for key, value in fixed.items():
            first_path, first = seen.setdefault(key, (path, value))
            if value != first:
                raise UserError(
                    f"{path}: {key[0]} is {value}, but {first} in {first_path}; delete the older one and run again"
                )


def main(argv: Sequence[str] | None = None) -> int:
    return program.run(stage, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
