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

COMPARABLE = (
    "images",
    "features",
    "solver",
    "evaluations",
    "seed",
    "weights",
    "features_sha256",
    "reference",
    "source_checksum",
)
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


def _measured(path: Path) -> dict[str, Any]:
    """One measurement. Raises UserError if the file holds something else."""
    row = files.read_record(path, "step", "fid", "images")
    if not isinstance(row["step"], int) or not isinstance(row["fid"], int | float):
        raise UserError(f"{path}: step {row['step']!r} and fid {row['fid']!r} are no numbers; delete it and run again")
    return row


def _weights_of(row: dict[str, Any], paths: Sequence[Path]) -> Path:
    """The file that was measured. Raises UserError if it is not among the paths, or has changed since."""
    for path in paths:
        if path.stem == str(row["step"]):
            found = files.sha256(path)
            if found != row.get("weights_sha256"):
                raise UserError(
                    f"{path}: these are not the weights whose distance was measured, "
                    f"{found} against {row.get('weights_sha256')}; delete the distances and run again"
                )
            return path
    raise UserError(f"--in weights=PATH: no weights of iteration {row['step']} are given")


def stage(job: program.Job) -> None:
    rows = [(path, _measured(path)) for path in job.all_inputs("fid")]
    chosen = best(rows)
    table = pd.DataFrame([row for _, row in rows]).sort_values("step")
    if table["step"].duplicated().any():
        raise UserError(f"{job.output('table')}: an iteration stands twice among its inputs; give each once")
    source = _weights_of(chosen, job.all_inputs("weights"))
    files.write_text(job.output("table"), table.drop(columns="weights_sha256", errors="ignore").to_csv(index=False))
    with files.replacing(job.output("weights")) as temporary:
        shutil.copyfile(source, temporary)
    logger.info("chose step %d, FID %.4f, of %d measured", chosen["step"], chosen["fid"], len(rows))
    files.write_json(job.output("chosen"), {"step": chosen["step"], "by": "fid", "fid": chosen["fid"]})


def main(argv: Sequence[str] | None = None) -> int:
    return program.run(stage, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
