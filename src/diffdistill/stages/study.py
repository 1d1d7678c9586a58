"""Reads one JSON per training, of the main evaluation, its baselines and the study; writes them as one table."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from diffdistill import config
from diffdistill.classify import training
from diffdistill.config import stages
from diffdistill.data import image_files
from diffdistill.errors import UserError
from diffdistill.report.means import BY_CLASS
from diffdistill.report.study import COLUMNS
from diffdistill.runtime import files
from diffdistill.runtime.program import Job

KEYS = (
    "train_set",
    "images",
    "seed",
    "accuracy",
    *BY_CLASS,
    "epochs",
    "seconds",
    "protocol",
    "trained_on",
    "tested_on",
)
MAIN = {"ablation": "main", "axis": "main", "architecture": "convnet", "labels": "hard", "resampling": None}
VARY_PROTOCOL = ("length", "augment")


def main(job: Job[stages.Study]) -> None:
    paths = [*job.all_inputs("main"), *job.all_inputs("baselines"), *job.inputs.get("runs", [])]
    labels, metadata = image_files.load_labels_and_metadata(job.input("distilled"))
    classes = len(json.loads(metadata["classes"]))
    stored_share = image_files.stored_images(job.input("distilled")) / len(labels)
    rows = [(path, MAIN | files.read_record(path, *KEYS)) for path in paths]
    _require_one_study(rows)
    for path, row in rows:
        protocol = config.read(config.Protocol, json.loads(row["protocol"]), str(path))
        row["experiment"] = job.settings.experiment
        row["steps"] = training.total_steps(protocol, row["images"])
        is_distilled = row["train_set"] == "distilled" and row["axis"] != "mix"
        row["images_per_class"] = row["images"] / classes * (stored_share if is_distilled else 1)
    table = pd.DataFrame([row for _, row in rows])[[*COLUMNS, *BY_CLASS]].astype({"resampling": "Int64"})
    files.write_text(job.output("table"), table.to_csv(index=False, float_format="%.6g"))


def _require_one_study(rows: list[tuple[Path, dict[str, Any]]]) -> None:
    """Raises UserError if two trainings differ in something that a study does not vary."""
    seen: dict[tuple[Any, ...], tuple[Path, Any]] = {}
    for path, row in rows:
        images = row["resampling"] if row["train_set"] == "distilled" else _SOURCE[row["train_set"]]
        varied = (row["ablation"], row["train_set"]) if row["axis"] in VARY_PROTOCOL else "main"
        fixed = {
            ("tested_on",): row["tested_on"],
            ("trained_on", images): row["trained_on"],
            ("protocol", varied): row["protocol"],
        }
        for key, value in fixed.items():
            first_path, first = seen.setdefault(key, (path, value))
            if value != first:
                raise UserError(
                    f"{path}: {key[0]} is {value}, but {first} in {first_path}; delete the older file and run again"
                )


_SOURCE = {"real": "real", "real-random": "real", "all-samples": "samples", "random-samples": "samples"}
"""Where the images of a train set come from."""
