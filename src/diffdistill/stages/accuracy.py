"""Reads one JSON per training; writes them as one table, a row per training set and seed."""

import sys
from collections.abc import Sequence

import pandas as pd

from diffdistill.errors import UserError
from diffdistill.runtime import files, program

COLUMNS = ["dataset", "train_set", "images", "seed", "accuracy", "epochs", "seconds"]


def stage(job: program.Job) -> None:
    rows = [(path, files.read_json(path)) for path in job.inputs["accuracy"]]
    first_path, first = rows[0]
    for path, row in rows:
        if row["protocol"] != first["protocol"]:
            raise UserError(f"{path}: another protocol than in {first_path}; delete the older one and run again")
    table = pd.DataFrame([row for _, row in rows])[COLUMNS].sort_values(["train_set", "seed"])
    if table.duplicated(["train_set", "seed"]).any():
        raise UserError(f"{job.output('table')}: a training set and seed stands twice among its inputs")
    files.write_text(job.output("table"), table.to_csv(index=False))


def main(argv: Sequence[str] | None = None) -> int:
    return program.run(stage, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
