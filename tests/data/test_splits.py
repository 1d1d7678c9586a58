"""Splits by class, seeded; classes that are too small are named all at once."""

from typing import Any

import numpy as np
import pytest

from diffdistill.data import splits
from diffdistill.errors import UserError


def test_splits_are_balanced_disjoint_and_seeded() -> None:
    labels = np.arange(100) % 4
    rest, cut = splits.cut(labels, per_class=5, seed=1)
    assert sorted([*rest, *cut]) == list(range(100))
    assert np.bincount(labels[cut]).tolist() == [5] * 4
    assert np.array_equal(cut, splits.cut(labels, per_class=5, seed=1)[1])
    assert not np.array_equal(cut, splits.cut(labels, per_class=5, seed=2)[1])
    rest, cut = splits.cut(labels, fraction=0.2, seed=1)
    assert np.bincount(labels[cut]).tolist() == [5] * 4 and len(rest) == 80
    with pytest.raises(UserError, match="leaves none"):
        splits.cut(labels, per_class=25, seed=1)


CLASSES = ["daisy", "rose", "tulip", "iris", "lily", "phlox", "aster"]


@pytest.mark.parametrize(
    ("counts", "keys", "message"),
    [
        ([5, 1, 5], {"per_class": 1}, "class 'rose' has 1 image; cutting 1 per class leaves none; cut fewer"),
        ([5, 2, 5], {"per_class": 3}, "class 'rose' has 2 images; cutting 3 per class leaves none"),
        ([5, 1, 2], {"per_class": 2}, "2 classes have too few images: 'rose' has 1, 'tulip' has 2; cutting 2"),
        ([9, 1, 1, 1, 1, 1, 1], {"per_class": 1}, "6 classes .*'lily' has 1, 'phlox' has 1 and 1 more; cutting 1"),
        ([1, 9], {"fraction": 0.5}, "class 'daisy' has 1 image; cutting 1 per class leaves none"),
    ],
)
def test_all_classes_that_are_too_small_are_named(counts: list[int], keys: dict[str, Any], message: str) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    with pytest.raises(UserError, match=message) as caught:
        splits.cut(labels, seed=0, classes=CLASSES, **keys)
    assert "source." not in str(caught.value)
    with pytest.raises(UserError, match="has"):
        splits.cut(labels, seed=0, **keys)


def test_nothing_to_cut_from() -> None:
    with pytest.raises(UserError, match="no images"):
        splits.cut(np.zeros(0, dtype=np.int64), per_class=1, seed=0)
    with pytest.raises(ValueError, match="either per_class or fraction"):
        splits.cut(np.zeros(1, dtype=np.int64), seed=0)
