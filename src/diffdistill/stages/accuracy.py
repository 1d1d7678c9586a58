"""Reads one JSON per training; writes them as one table, a row per training set and seed."""

import itertools
import sys
from collections.abc import Sequence

import pandas as pd

from diffdistill.errors import UserError
from diffdistill.runtime import files, program

COLUMNS = ["dataset", "train_set", "images", "seed", "accuracy", "epochs", "seconds"]


def stage(job: program.Job) -> None:
    keys = (*COLUMNS, "protocol", "trained_on", "tested_on")
    rows = [(path, files.read_record(path, *keys)) for path in job.all_inputs("accuracy")]
    for (first_path, first), (path, row) in itertools.pairwise(rows):
        alike = first["train_set"] == row["train_set"]
        for key in ("protocol", "dataset", "tested_on", *(("trained_on",) if alike else ())):
            if row[key] != first[key]:
                raise UserError(
                    f"{path}: {key} is {row[key]}, but {first[key]} in {first_path}; "
                    "one table holds one kind of training: delete the older one and run again"
                )
    table = pd.DataFrame([row for _, row in rows])[COLUMNS].sort_values(["train_set", "seed"])
    if table.duplicated(["train_set", "seed"]).any():
        raise UserError(f"{job.output('table')}: a training set and seed stands twice among its inputs")
    files.write_text(job.output("table"), table.to_csv(index=False))


def main(argv: Sequence[str] | None = None) -> int:
    return program.run(stage, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
