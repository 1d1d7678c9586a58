"""Which of several candidates is best: by a distance, or by the accuracy of pilots with their standard errors."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from diffdistill.errors import UserError

if TYPE_CHECKING:  # ranking imports no torch
    from torch import Tensor

Row = dict[str, Any]
Rows = Sequence[tuple[Path, Row]]
"""Results with the files that they come from."""


def require_alike(rows: Rows, columns: Sequence[str], what: str) -> None:
    """Raises UserError if two rows differ in one of the columns; `what` names the rows."""
    first_path, first = rows[0]
    for path, row in rows[1:]:
        for column in columns:
            if row.get(column) != first.get(column):
                raise UserError(
                    f"{path}: {column} is {row.get(column)}, but {first.get(column)} in {first_path}; "
                    f"{what} of different kinds cannot be compared: delete the older file and run again"
                )


def finite(rows: Rows, column: str) -> tuple[list[tuple[Path, Row]], list[tuple[Path, Row]]]:
    """The rows whose value is a finite number, and the others. Raises UserError if none is left."""
    kept = [(path, row) for path, row in rows if np.isfinite(row[column])]
    skipped = [(path, row) for path, row in rows if not np.isfinite(row[column])]
    if not kept:
        path, row = skipped[0]
        raise UserError(
            f"{path}: {column} is {row[column]}, and so it is for all {len(skipped)} checkpoints; train again with a "
            "lower learning rate"
        )
    return kept, skipped


def lowest(rows: Rows, column: str) -> Row:
    """The row of the lowest value; of equal ones the earliest `step`."""
    return min((row for _, row in rows), key=lambda row: (row[column], row["step"]))


def tied(rows: Rows) -> list[Row]:
    """The rows whose accuracy is within one standard error of the best one's.

    The one-standard-error rule of Breiman et al. 1984, section 3.4.3.
    """
    found = [row for _, row in rows]
    best = max(found, key=lambda row: (row["accuracy"], -row["standard_error"]))
    return [row for row in found if row["accuracy"] >= best["accuracy"] - best["standard_error"]]


def accuracy_and_error(right: "Tensor") -> tuple[float, float]:
    """Mean of right bool (S, N), N images judged by S trainings, and its standard error over images and trainings.

    The variances of the means by image and by training add up: sqrt(v_N / N + v_S / S). With a single training the
    variance between trainings is unknown and left out.
    """
    by_image, by_training = right.double().mean(0), right.double().mean(1)
    variances = [float(means.var()) / len(means) for means in (by_image, by_training) if len(means) > 1]
    return float(by_image.mean()), sum(variances) ** 0.5
