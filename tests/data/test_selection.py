"""Herding and k-centre against exhaustive search and a closed form; balanced prefixes; who is mistaken."""

import itertools

import numpy as np
import pytest
import torch

from diffdistill.data import selection
from diffdistill.errors import UserError

POINTS = np.random.default_rng(0).normal(size=(40, 3))


def test_herding_takes_the_best_next_one_each_time() -> None:
    chosen = selection.herding(POINTS, 12).tolist()
    mean = POINTS.mean(axis=0)
    for taken in range(12):
        free = [place for place in range(40) if place not in chosen[:taken]]
        distance = {place: np.linalg.norm(POINTS[[*chosen[:taken], place]].mean(axis=0) - mean) for place in free}
        assert chosen[taken] == min(distance, key=distance.__getitem__)


def test_k_centre_on_a_line() -> None:
    # 0..8 has its mean at 4; then the ends, the lower one first, then the middles of what is left
    assert selection.k_centre(np.arange(9.0)[:, None], 5).tolist() == [4, 0, 8, 2, 6]


def test_k_centre_covers_within_twice_the_smallest_radius() -> None:
    points = POINTS[:12]

    def radius(centres: list[int]) -> float:
        return float(np.linalg.norm(points[:, None] - points[centres], axis=2).min(axis=1).max())

    best = min(radius(list(centres)) for centres in itertools.combinations(range(12), 3))
    assert radius(selection.k_centre(points, 3).tolist()) <= 2 * best


@pytest.mark.parametrize("greedy", [selection.herding, selection.k_centre])
def test_equal_points_are_never_taken_twice(greedy: selection.Greedy) -> None:
    assert sorted(greedy(np.ones((5, 2)), 5).tolist()) == [0, 1, 2, 3, 4]
    assert greedy(np.ones((5, 2)), 0).tolist() == []


def test_every_prefix_is_balanced_and_a_selection_for_fewer() -> None:
    labels = torch.arange(40) % 4
    pick = selection.by_features(selection.herding, lambda members: POINTS[members.numpy()])
    many, few = (selection.per_class(labels, [count] * 4, pick) for count in (7, 3))
    assert labels[many].tolist() == [0, 1, 2, 3] * 7
    assert torch.equal(many[:12], few)


def test_classes_are_taken_in_turn_as_far_as_they_last() -> None:
    labels = torch.tensor([2, 2, 0, 2, 0, 1])
    assert selection.in_turn(labels).tolist() == [2, 5, 0, 4, 1, 3]
    assert labels[selection.in_turn(labels)].tolist() == [0, 1, 2, 0, 2, 2]


def test_numbers_that_do_not_divide() -> None:
    assert selection.quotas(10, 4) == [3, 3, 2, 2] and selection.quotas(2, 3) == [1, 1, 0]
    labels = torch.arange(40) % 4
    kept = selection.per_class(labels, [3, 3, 2, 2], selection.randomly(0))
    assert labels[kept].tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]
    assert torch.equal(kept, selection.per_class(labels, [3, 3, 2, 2], selection.randomly(0)))
    assert not torch.equal(kept, selection.per_class(labels, [3, 3, 2, 2], selection.randomly(1)))
    with pytest.raises(UserError, match="class 1 has 10 images, but 11 are asked for"):
        selection.per_class(labels, [10, 11, 10, 10], selection.randomly(0))


def test_a_class_without_images_gives_none() -> None:
    labels = torch.tensor([0, 2] * 4)
    pick = selection.by_features(selection.herding, lambda members: np.concatenate([POINTS[members.numpy()]]))
    assert labels[selection.per_class(labels, [2, 0, 2], pick)].tolist() == [0, 2, 0, 2]

    def refuse(members: torch.Tensor) -> np.ndarray:  # type: ignore[type-arg]
        raise AssertionError("no image, no features")

    assert selection.per_class(labels, [0, 0, 0], selection.by_features(selection.k_centre, refuse)).tolist() == []


def test_only_confident_mistakes_count() -> None:
    labels, predicted = torch.tensor([0, 0, 0, 1]), torch.tensor([0, 1, 1, 0])
    confidence = torch.tensor([0.9, 0.5, 0.51, 0.99])
    assert selection.contradicted(labels, predicted, confidence, above=0.5).tolist() == [False, False, True, True]


def test_small_classes_give_all_that_they_have_and_the_others_the_rest() -> None:
    labels = torch.tensor([0] * 20 + [1] * 3 + [2] * 9)
    kept = selection.at_random(labels, 24, seed=0)
    assert labels[kept].bincount().tolist() == [12, 3, 9] and len(set(kept.tolist())) == 24
    assert selection.fair_counts(30, [20, 3, 9]) == [18, 3, 9] and selection.fair_counts(7, [20, 3, 9]) == [3, 2, 2]
