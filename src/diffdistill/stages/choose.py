"""Reads every measurement and its weights; writes fid.csv, which iteration is the best, and a copy of its weights.

The best is the one of the lowest FID, or, given the pilots of some iterations, the one whose images train best. Pilots
with several solvers choose one of these too.
"""

import logging
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from diffdistill import config
from diffdistill.errors import UserError
from diffdistill.runtime import files, program

logger = logging.getLogger("diffdistill")

Row = dict[str, Any]
Rows = Sequence[tuple[Path, Row]]

COMPARABLE = (
    "images",
    "features",
    "solver",
    "evaluations",
    "seed",
    "weights",
    "features_sha256",
    "classifier_sha256",
    "reference",
    "source_checksum",
    "settings",
)
"""What measurements must agree in to be ranked against each other."""
PILOTS_COMPARABLE = ("seeds", "seed", "protocol", "validated_on")


def best(rows: Rows) -> Row:
    """The row of the lowest FID, the earliest of equals. Raises UserError if two rows cannot be compared."""
    _require_alike(rows, COMPARABLE, "distances")
    return min((row for _, row in rows), key=lambda row: (row["fid"], row["step"]))


def tied(pilots: Rows) -> list[Row]:
    """The pilots whose accuracy is within one standard error of the best one's: they are not told apart.

    The rule of Breiman et al. 1984, section 3.4.3. Raises UserError if two pilots cannot be compared.
    """
    _require_alike(pilots, PILOTS_COMPARABLE, "pilots")
    for evaluations in {row["evaluations"] for _, row in pilots}:  # fewer of them draw more images in equal seconds
        _require_alike([pilot for pilot in pilots if pilot[1]["evaluations"] == evaluations], ("images",), "pilots")
    rows = [row for _, row in pilots]
    first = max(rows, key=lambda row: (row["accuracy"], -row["standard_error"]))
    return [row for row in rows if row["accuracy"] >= first["accuracy"] - first["standard_error"]]


def best_by_pilot(rows: Rows, pilots: Rows) -> Row:
    """The cheapest of the best pilots: fewest evaluations, then lowest FID, then earliest.

    Raises UserError if two rows cannot be compared, or a pilot was not made with the weights that were measured.
    """
    _require_alike(rows, COMPARABLE, "distances")
    measured = {row["step"]: row for _, row in rows}
    for path, pilot in pilots:
        if measured.get(pilot["step"], {}).get("weights_sha256") != pilot["weights_sha256"]:
            raise UserError(f"{path}: made with other weights than were measured; delete it and run again")
    return min(tied(pilots), key=lambda row: (row["evaluations"], measured[row["step"]]["fid"], row["step"]))


def _require_alike(rows: Rows, columns: Sequence[str], what: str) -> None:
    first_path, first = rows[0]
    for path, row in rows[1:]:
        for column in columns:
            if row.get(column) != first.get(column):
                raise UserError(
                    f"{path}: {column} is {row.get(column)}, but {first.get(column)} in {first_path}; "
                    f"{what} of different kinds cannot be compared: delete the older one and run again"
                )


def _read(path: Path, numbers: Sequence[str], others: Sequence[str]) -> Row:
    """One measurement or pilot. Raises UserError if the file holds something else."""
    row = files.read_record(path, "step", *numbers, *others)
    told = " and ".join(f"{key} {row[key]!r}" for key in ("step", *numbers))
    if not isinstance(row["step"], int) or not all(isinstance(row[key], int | float) for key in numbers):
        raise UserError(f"{path}: {told} are no numbers; delete it and run again")
    return row


def _weights_of(row: Row, paths: Sequence[Path]) -> Path:
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


def _table(rows: Rows, pilots: Rows, chosen: Row, by: str) -> pd.DataFrame:
    """fid.csv: a row an iteration; the pilots' columns where there are any; by what it was chosen at the chosen one.

    Of several pilots of an iteration the one that would be chosen.
    """
    table = pd.DataFrame([row for _, row in rows]).sort_values("step")
    if pilots:
        steps = sorted({row["step"] for _, row in pilots})
        found = [best_by_pilot(rows, [pilot for pilot in pilots if pilot[1]["step"] == step]) for step in steps]
        columns = {"step": "step", "accuracy": "pilot_accuracy", "standard_error": "pilot_standard_error"}
        shown = pd.DataFrame(found)[list(columns)].rename(columns=columns)
        if len({_drawn_with(row) for _, row in pilots}) > 1:
            shown["pilot_solver"] = [_drawn_with(row) for row in found]
        table = table.merge(shown, "left")
    table["chosen_by"] = [by if step == chosen["step"] else None for step in table["step"]]
    return table.drop(columns=["weights_sha256", "settings", "machine"], errors="ignore")


def _drawn_with(pilot: Row) -> str:
    """Its solver, as text that tells any two apart."""
    solver = pilot.get("solver")
    return ", ".join(f"{key} {value}" for key, value in solver.items()) if isinstance(solver, dict) else str(solver)


def stage(job: program.Job) -> None:
    block = config.read(config.Choose, job.config)
    by = block.by
    rows, pilots = [(path, _read(path, ["fid"], ["images"])) for path in job.all_inputs("fid")], []
    if by == "pilot":
        others = ["evaluations", "weights_sha256", *(["solver"] if block.solvers else [])]
        pilots = [(path, _read(path, ["accuracy", "standard_error"], others)) for path in job.all_inputs("pilot")]
    for kind in (rows, pilots):
        candidates = [(row["step"], _drawn_with(row)) for _, row in kind]
        if len(set(candidates)) != len(candidates):
            raise UserError(f"{job.output('table')}: an iteration stands twice among its inputs; give each once")
    pilot = best_by_pilot(rows, pilots) if pilots else None
    chosen = next(row for _, row in rows if row["step"] == pilot["step"]) if pilot else best(rows)
    source = _weights_of(chosen, job.all_inputs("weights"))
    files.write_text(job.output("table"), _table(rows, pilots, chosen, by).to_csv(index=False))
    with files.replacing(job.output("weights")) as temporary:
        shutil.copyfile(source, temporary)
    told = {"step": chosen["step"], "by": by, "fid": chosen["fid"], "weights_sha256": chosen["weights_sha256"]}
    if pilot:
        accuracy, error = pilot["accuracy"], pilot["standard_error"]
        ties = sorted({row["step"] for row in tied(pilots)})
        told |= {"pilot_accuracy": accuracy, "pilot_standard_error": error, "tied": ties}
        if block.solvers:
            told["solver"] = pilot["solver"]
        logger.info("pilot accuracy %.4f ± %.4f; within one standard error of the best: %s", accuracy, error, ties)
    logger.info("chose step %d by %s, FID %.4f, of %d measured", chosen["step"], by, chosen["fid"], len(rows))
    files.write_json(job.output("chosen"), told)


def main(argv: Sequence[str] | None = None) -> int:
    return program.run(stage, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
