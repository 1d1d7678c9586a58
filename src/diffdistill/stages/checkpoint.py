"""Reads every measurement and its weights; writes fid.csv, which checkpoint is picked, and a copy of its weights.

The pick is the lowest FID, or with pilots the checkpoint whose samples train best; pilots that try several sampling
setups also pick one of these. Without measurements the last checkpoint is taken.
"""

import json
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from diffdistill.config import stages
from diffdistill.errors import UserError
from diffdistill.metrics import ranking
from diffdistill.metrics.ranking import Row, Rows
from diffdistill.runtime import files, tensor_bytes
from diffdistill.runtime.program import Job

logger = logging.getLogger(__name__)

COMPARABLE = (
    "images",
    "features",
    "solver",
    "nfe",
    "seed",
    "weights",
    "features_sha256",
    "classifier_sha256",
    "reference",
    "source_checksum",
    "settings",
)
"""What measurements must agree in to be ranked."""
PILOTS_COMPARABLE = ("seeds", "seed", "protocol", "validated_on", "evaluations_in_all")


def main(job: Job[stages.Checkpoint]) -> None:
    settings = job.settings
    if not job.inputs.get("fid"):
        _write_last(job)
        return
    rows, pilots = _measured(job), _pilots(job) if settings.by == "pilot" else []
    for kind in (rows, pilots):
        candidates = [(row["name"], _setup_of(row)) for _, row in kind]
        if len(set(candidates)) != len(candidates):
            raise UserError(f"{job.output('table')}: two inputs are of the same checkpoint; give each once")
    pilot = best_by_pilot(rows, pilots) if pilots else None
    if pilot is not None:
        picked = next(row for _, row in rows if row["name"] == pilot["name"])
    elif settings.by == "last":
        picked = max((row for _, row in rows), key=_in_order)
    else:
        picked = ranking.lowest(rows, "fid")
    source = _weights_of(picked, job.all_inputs("weights"))
    checkpoint = {name: picked[name] for name in ("name", "step", "fid", "weights_sha256")} | {"by": settings.by}
    if pilot is not None:
        ties = list(dict.fromkeys(row["name"] for row in sorted(ranking.tied(pilots), key=_in_order)))
        accuracy, error = pilot["accuracy"], pilot["standard_error"]
        checkpoint |= {"pilot_accuracy": accuracy, "pilot_standard_error": error, "tied": ties}
        if settings.setups:
            checkpoint["setup"] = pilot["setup"]
        logger.info("pilot accuracy %.4f ± %.4f; within one standard error of the best: %s", accuracy, error, ties)
    files.write_text(job.output("table"), _table(rows, pilots, picked, settings.by).to_csv(index=False))
    _copy(source, job.output("weights"))
    logger.info("checkpoint %s picked by %s, FID %.4f, of %d", picked["name"], settings.by, picked["fid"], len(rows))
    files.write_json(job.output("checkpoint"), checkpoint)


def best_by_pilot(rows: Rows, pilots: Rows) -> Row:
    """Of the best pilots the one with the lowest NFE, then the lowest FID, then the earliest iteration.

    Raises UserError if two rows cannot be compared, or a pilot was not made with the weights that were measured.
    """
    measured = {row["name"]: row for _, row in rows}
    for path, pilot in pilots:
        if measured.get(pilot["name"], {}).get("weights_sha256") != pilot["weights_sha256"]:
            raise UserError(f"{path}: made with other weights than were measured; delete it and run again")
    return min(ranking.tied(pilots), key=lambda row: (row["nfe"], measured[row["name"]]["fid"], row["step"]))


def _measured(job: Job[stages.Checkpoint]) -> Rows:
    """The measurements with a finite FID. Raises UserError if two of them cannot be compared."""
    keys = ("name", "step", "fid", "images")
    found = [(path, row) for path in job.all_inputs("fid") for row in files.read_records(path, *keys)]
    rows = [(path, _with_numbers(path, row, "fid")) for path, row in found]
    ranking.require_alike(rows, COMPARABLE, "distances")
    kept, skipped = ranking.finite(rows, "fid")
    for path, row in skipped:
        logger.warning("%s: the FID of %s is not finite; this checkpoint is skipped", path, row["name"])
    return kept


def _pilots(job: Job[stages.Checkpoint]) -> Rows:
    """The pilots with a finite accuracy. Raises UserError if two of them cannot be compared."""
    numbers = ("accuracy", "standard_error")
    keys = ("name", "step", *numbers, "nfe", "weights_sha256", *(["setup"] if job.settings.setups else []))
    found = [(path, files.read_record(path, *keys)) for path in job.all_inputs("pilot")]
    rows = [(path, _with_numbers(path, row, *numbers)) for path, row in found]
    ranking.require_alike(rows, PILOTS_COMPARABLE, "pilots")
    kept, skipped = ranking.finite(rows, "accuracy")
    for path, _ in skipped:
        logger.warning("%s: the accuracy is not finite; this pilot is skipped", path)
    return kept


def _with_numbers(path: Path, row: Row, *numbers: str) -> Row:
    """The row itself. Raises UserError if its iteration or one of these is no number."""
    if not isinstance(row["step"], int) or not all(isinstance(row[key], int | float) for key in numbers):
        values = " and ".join(f"{key} {row[key]!r}" for key in ("step", *numbers))
        raise UserError(f"{path}: {values} are not numbers; delete it and run again")
    return row


def _weights_of(row: Row, paths: Sequence[Path]) -> Path:
    """The file that was measured. Raises UserError if it is not among the paths, or has changed since."""
    for path in paths:
        if path.stem == row["name"]:
            found = files.sha256(path)
            if found != row.get("weights_sha256"):
                raise UserError(
                    f"{path}: these are not the weights whose FID was measured, {found} against "
                    f"{row.get('weights_sha256')}; delete the measurements and run again"
                )
            return path
    raise UserError(f"--in weights=PATH: the weights {row['name']} are missing; give them")


def _write_last(job: Job[stages.Checkpoint]) -> None:
    """Take the primary EMA weights of the last iteration."""
    paths = [path for path in job.all_inputs("weights") if path.stem.isdecimal()]
    if not paths:
        raise UserError("--in weights=PATH: no weights of a primary EMA are given; give them")
    last = max(paths, key=lambda path: int(path.stem))
    step = int(tensor_bytes.read(last, lambda name: False)[1].get("step", last.stem))
    _copy(last, job.output("weights"))
    checkpoint = {"name": last.stem, "step": step, "weights_sha256": files.sha256(last), "by": "last"}
    files.write_json(job.output("checkpoint"), checkpoint)
    logger.info("checkpoint %s is the last one", last.stem)


def _copy(source: Path, target: Path) -> None:
    with files.replacing(target) as temporary:
        shutil.copyfile(source, temporary)


def _table(rows: Rows, pilots: Rows, picked: Row, by: str) -> pd.DataFrame:
    """fid.csv: a row per measurement, with the pilots' columns if there are any; `chosen_by` marks the pick.

    With several pilots of the same weights, the one that would be picked.
    """
    ordered: list[Row] = sorted((row for _, row in rows), key=_in_order)
    table = pd.DataFrame(ordered)
    if pilots:
        names = sorted({row["name"] for _, row in pilots})
        best = [best_by_pilot(rows, [pilot for pilot in pilots if pilot[1]["name"] == name]) for name in names]
        columns = {"name": "name", "accuracy": "pilot_accuracy", "standard_error": "pilot_standard_error"}
        shown = pd.DataFrame(best)[list(columns)].rename(columns=columns)
        if len({_setup_of(row) for _, row in pilots}) > 1:
            shown["pilot_setup"] = [_setup_of(row) for row in best]
        table = table.merge(shown, "left")
    table["chosen_by"] = [by if name == picked["name"] else None for name in table["name"]]
    constant = ["ema_decay"] if len({row.get("ema_decay") for _, row in rows}) == 1 else []
    return table.drop(columns=["name", "weights_sha256", "machine", *constant], errors="ignore")


def _in_order(row: Row) -> tuple[int, str]:
    return row["step"], row["name"]


def _setup_of(pilot: Row) -> str:
    """Its sampling setup, as text that tells any two apart."""
    return json.dumps({name: value for name, value in (pilot.get("setup") or {}).items() if value is not None})
