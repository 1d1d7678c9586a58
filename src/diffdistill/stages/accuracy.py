"""Reads one JSON per training; writes them as one table, a row per train set and seed."""

import itertools

import pandas as pd

from diffdistill.config import stages
from diffdistill.errors import UserError
from diffdistill.report.means import BY_CLASS
from diffdistill.runtime import files
from diffdistill.runtime.program import Job

COLUMNS = ["experiment", "train_set", "images", "seed", "accuracy", *BY_CLASS, "epochs", "seconds", "protocol"]


def main(job: Job[stages.Accuracy]) -> None:
    keys = (*COLUMNS[1:], "trained_on", "tested_on")
    rows = [(path, files.read_record(path, *keys)) for path in job.all_inputs("accuracy")]
    for (first_path, first), (path, row) in itertools.pairwise(rows):
        same_set = ("trained_on",) if first["train_set"] == row["train_set"] else ()
        for key in ("protocol", "tested_on", *same_set):
            if row[key] != first[key]:
                raise UserError(
                    f"{path}: {key} is {row[key]}, but {first[key]} in {first_path}; one table holds one kind of "
                    "training: delete the older file and run again"
                )
    table = pd.DataFrame([{"experiment": job.settings.experiment} | row for _, row in rows])[COLUMNS]
    if table.duplicated(["train_set", "seed"]).any():
        raise UserError(f"{job.output('table')}: two inputs have the same train set and seed; give each once")
    files.write_text(job.output("table"), table.sort_values(["train_set", "seed"]).to_csv(index=False))
