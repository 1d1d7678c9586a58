"""Reads every measurement and its weights; writes fid.csv, which weights are the best, and a copy of these.

The best are those of the lowest FID, or, given the pilots of some, those whose images train best. Pilots that draw in
several ways choose one of these too.
"""

import json
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
PILOTS_COMPARABLE = ("seeds", "seed", "protocol", "validated_on", "evaluations_in_all")


def best(rows: Rows) -> Row:
    """The row of the lowest FID, the earliest of equals. Raises UserError if two rows cannot be compared."""
    _require_alike(rows, COMPARABLE, "distances")
    return min((row for _, row in rows), key=lambda row: (row["fid"], row["step"]))


def tied(pilots: Rows) -> list[Row]:
    """The pilots whose accuracy is within one standard error of the best one's: they are not told apart.

    The rule of Breiman et al. 1984, section 3.4.3. Raises UserError if two pilots cannot be compared.
    """
    _require_alike(pilots, PILOTS_COMPARABLE, "pilots")
    rows = [row for _, row in pilots]
    first = max(rows, key=lambda row: (row["accuracy"], -row["standard_error"]))
    return [row for row in rows if row["accuracy"] >= first["accuracy"] - first["standard_error"]]


def best_by_pilot(rows: Rows, pilots: Rows) -> Row:
    """The cheapest of the best pilots: fewest evaluations, then lowest FID, then earliest.

    Raises UserError if two rows cannot be compared, or a pilot was not made with the weights that were measured.
    """
    _require_alike(rows, COMPARABLE, "distances")
    measured = {row["name"]: row for _, row in rows}
    for path, pilot in pilots:
        if measured.get(pilot["name"], {}).get("weights_sha256") != pilot["weights_sha256"]:
            raise UserError(f"{path}: made with other weights than were measured; delete it and run again")
    return min(tied(pilots), key=lambda row: (row["evaluations"], measured[row["name"]]["fid"], row["step"]))


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
    row = files.read_record(path, "name", "step", *numbers, *others)
    told = " and ".join(f"{key} {row[key]!r}" for key in ("step", *numbers))
    if not isinstance(row["step"], int) or not all(isinstance(row[key], int | float) for key in numbers):
        raise UserError(f"{path}: {told} are no numbers; delete it and run again")
    return row


def _weights_of(row: Row, paths: Sequence[Path]) -> Path:
    """The file that was measured. Raises UserError if it is not among the paths, or has changed since."""
    for path in paths:
        if path.stem == row["name"]:
            found = files.sha256(path)
            if found != row.get("weights_sha256"):
                raise UserError(
                    f"{path}: these are not the weights whose distance was measured, "
                    f"{found} against {row.get('weights_sha256')}; delete the distances and run again"
                )
            return path
    raise UserError(f"--in weights=PATH: no weights {row['name']} are given")


def _table(rows: Rows, pilots: Rows, chosen: Row, by: str) -> pd.DataFrame:
    """fid.csv: a row a measurement; the pilots' columns where there are any; by what it was chosen at the chosen one.

    Of several pilots of the same weights the one that would be chosen.
    """
    ordered: list[Row] = sorted((row for _, row in rows), key=_in_order)
    table = pd.DataFrame(ordered)
    if pilots:
        names = sorted({row["name"] for _, row in pilots})
        found = [best_by_pilot(rows, [pilot for pilot in pilots if pilot[1]["name"] == name]) for name in names]
        columns = {"name": "name", "accuracy": "pilot_accuracy", "standard_error": "pilot_standard_error"}
        shown = pd.DataFrame(found)[list(columns)].rename(columns=columns)
        if len({_draw_of(row) for _, row in pilots}) > 1:
            shown["pilot_draw"] = [_draw_of(row) for row in found]
        table = table.merge(shown, "left")
    table["chosen_by"] = [by if name == chosen["name"] else None for name in table["name"]]
    alike = ["ema_decay"] if len({row.get("ema_decay") for _, row in rows}) == 1 else []
    return table.drop(columns=["name", "weights_sha256", "settings", "machine", *alike], errors="ignore")


def _in_order(row: Row) -> tuple[int, str]:
    return row["step"], row["name"]


def _draw_of(pilot: Row) -> str:
    """How it drew, as text that tells any two apart."""
    return json.dumps({name: value for name, value in (pilot.get("draw") or {}).items() if value is not None})


def stage(job: program.Job) -> None:
    block = config.read(config.Choose, job.config)
    by = block.by
    rows, pilots = [(path, _read(path, ["fid"], ["images"])) for path in job.all_inputs("fid")], []
    if by == "pilot":
        others = ["evaluations", "weights_sha256", *(["draw"] if block.draws else [])]
        pilots = [(path, _read(path, ["accuracy", "standard_error"], others)) for path in job.all_inputs("pilot")]
    for kind in (rows, pilots):
        candidates = [(row["name"], _draw_of(row)) for _, row in kind]
        if len(set(candidates)) != len(candidates):
            raise UserError(f"{job.output('table')}: an iteration stands twice among its inputs; give each once")
    pilot = best_by_pilot(rows, pilots) if pilots else None
    chosen = next(row for _, row in rows if row["name"] == pilot["name"]) if pilot else best(rows)
    source = _weights_of(chosen, job.all_inputs("weights"))
    files.write_text(job.output("table"), _table(rows, pilots, chosen, by).to_csv(index=False))
    with files.replacing(job.output("weights")) as temporary:
        shutil.copyfile(source, temporary)
    told = {name: chosen[name] for name in ("name", "step", "fid", "weights_sha256")} | {"by": by}
    if pilot:
        accuracy, error = pilot["accuracy"], pilot["standard_error"]
        ties = list(dict.fromkeys(row["name"] for row in sorted(tied(pilots), key=_in_order)))
        told |= {"pilot_accuracy": accuracy, "pilot_standard_error": error, "tied": ties}
        if block.draws:
            told["draw"] = pilot["draw"]
        logger.info("pilot accuracy %.4f ± %.4f; within one standard error of the best: %s", accuracy, error, ties)
    logger.info("chose %s by %s, FID %.4f, of %d measured", chosen["name"], by, chosen["fid"], len(rows))
    files.write_json(job.output("chosen"), told)


def main(argv: Sequence[str] | None = None) -> int:
    return program.run(stage, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
