"""Which of several candidates is best; the whole choice of a checkpoint is in tests/stages/test_checkpoint.py."""

from pathlib import Path

import pytest
import torch

from diffdistill.errors import UserError
from diffdistill.metrics import ranking


def rows(**columns: list[float]) -> list[tuple[Path, dict[str, float]]]:
    count = len(next(iter(columns.values())))
    return [
        (Path(f"{place}.json"), {"step": place} | {key: values[place] for key, values in columns.items()})
        for place in range(count)
    ]


def test_the_lowest_is_the_earliest_of_equals() -> None:
    assert ranking.lowest(rows(fid=[3.0, 1.0, 1.0]), "fid")["step"] == 1


def test_ties_are_within_the_error_of_the_best_alone() -> None:
    found = ranking.tied(rows(accuracy=[0.90, 0.885, 0.87, 0.88], standard_error=[0.02, 0.5, 0.0, 0.0]))
    assert [row["step"] for row in found] == [0, 1, 3]


def test_of_equal_accuracies_the_more_certain_one_sets_the_limit() -> None:
    found = ranking.tied(rows(accuracy=[0.9, 0.9, 0.89], standard_error=[0.02, 0.001, 0.0]))
    assert [row["step"] for row in found] == [0, 1]


def test_what_is_not_finite_is_left_out_by_name() -> None:
    kept, skipped = ranking.finite(rows(fid=[1.0, float("nan"), float("inf")]), "fid")
    assert [row["step"] for _, row in kept] == [0] and [path.name for path, _ in skipped] == ["1.json", "2.json"]
    with pytest.raises(UserError, match=r"0.json: fid is nan, and so it is for all 1 checkpoints"):
        ranking.finite(rows(fid=[float("nan")]), "fid")


def test_rows_of_different_kinds_are_refused() -> None:
    with pytest.raises(UserError, match=r"1.json: images is 2, but 1 in 0.json; distances of different kinds"):
        ranking.require_alike(rows(images=[1, 2]), ("images",), "distances")


def test_the_error_counts_images_and_trainings() -> None:
    right = torch.tensor([[1, 1, 0, 0], [1, 0, 1, 0]], dtype=torch.bool)
    accuracy, error = ranking.accuracy_and_error(right)
    # means by image 1, .5, .5, 0: variance 1/6; by training .5, .5: variance 0
    assert accuracy == 0.5 and error == pytest.approx((1 / 6 / 4) ** 0.5)
