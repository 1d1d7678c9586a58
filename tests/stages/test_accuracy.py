"""Trainings of one kind make a table; others are refused."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from diffdistill.runtime import files
from tests import command

ROW = {
    "train_set": "distilled", "images": 5, "seed": 0, "accuracy": 0.5, "macro_accuracy": 0.4,
    "worst_class_accuracy": 0.1, "epochs": 1.0, "seconds": 2.0, "protocol": "p", "trained_on": "a", "tested_on": "b",
}  # fmt: skip


def table(folder: Path, *rows: dict[str, Any]) -> int:
    for place, row in enumerate(rows):
        files.write_json(folder / f"{place}.json", ROW | row)
    inputs = [("accuracy", folder / f"{place}.json") for place in range(len(rows))]
    return command.run("accuracy", {"experiment": "mine"}, inputs, {"table": folder / "accuracy.csv"})


def test_rows_are_sorted_and_named(tmp_path: Path) -> None:
    real = {"train_set": "real", "trained_on": "c"}
    assert table(tmp_path, {"seed": 2}, {"seed": 1}, real) == 0
    found = pd.read_csv(tmp_path / "accuracy.csv")
    assert list(found) == [
        "experiment", "train_set", "images", "seed", "accuracy", "macro_accuracy", "worst_class_accuracy", "epochs",
        "seconds", "protocol",
    ]  # fmt: skip
    assert set(found["worst_class_accuracy"]) == {0.1}
    assert found["seed"].tolist() == [1, 2, 0] and set(found["experiment"]) == {"mine"}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"seed": 1, "protocol": "q"}, "protocol is q, but p"),
        ({"seed": 1, "tested_on": "q"}, "tested_on is q, but b"),
        ({"seed": 1, "trained_on": "q"}, "trained_on is q, but a"),
        ({}, "two inputs have the same train set and seed"),
    ],
)
def test_what_does_not_belong_together_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], row: dict[str, Any], message: str
) -> None:
    assert table(tmp_path, {}, row) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "accuracy.csv").exists()
