"""Reads every measurement and its weights; writes fid.csv, the step of the lowest FID, and a copy of its weights."""

import logging
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from diffdistill.errors import UserError
from diffdistill.runtime import files, program

logger = logging.getLogger("diffdistill")

COMPARABLE = ("images", "features", "solver", "evaluations", "seed", "weights", "features_sha256", "reference")
"""Columns in which measurements must agree to be ranked against each other."""


def best(rows: Sequence[tuple[Path, dict[str, Any]]]) -> dict[str, Any]:
    """The row of the lowest FID, the earliest of equals. Raises UserError if two rows cannot be compared."""
    first_path, first = rows[0]
    for path, row in rows[1:]:
        for column in COMPARABLE:
            if row.get(column) != first.get(column):
                raise UserError(
                    f"{path}: {column} is {row.get(column)}, but {first.get(column)} in {first_path}; "
                    "distances of different kinds cannot be compared: delete the older one and run again"
                )
    return min((row for _, row in rows), key=lambda row: (row["fid"], row["step"]))


def stage(job: program.Job) -> None:
    rows = [(path, files.read_json(path)) for path in job.inputs["fid"]]
    chosen = best(rows)
    table = pd.DataFrame([row for _, row in rows]).sort_values("step")
    files.write_text(job.output("table"), table.to_csv(index=False))
    weights = {int(path.stem): path for path in job.inputs["weights"]}
    with files.replacing(job.output("weights")) as temporary:
        shutil.copyfile(weights[chosen["step"]], temporary)
    logger.info("chose step %d, FID %.4f, of %d measured", chosen["step"], chosen["fid"], len(rows))
    files.write_json(job.output("chosen"), {"step": chosen["step"], "by": "fid", "fid": chosen["fid"]})


def main(argv: Sequence[str] | None = None) -> int:
    return program.run(stage, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
