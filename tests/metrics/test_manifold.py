"""Precision and recall of sets whose balls can be counted by hand."""

import numpy as np
import pytest
import torch
from torch import Tensor

from diffdistill.metrics import manifold
from diffdistill.runtime.seeds import generator


def line(*places: float) -> Tensor:
    return torch.tensor(places)[:, None]


def test_by_hand() -> None:
    # balls of the nearest neighbour around 0, 1, 3: radii 1, 1, 2, so [-1, 5]; around 4, 6, 20: 2, 2, 14, so [2, 34]
    precision, recall = manifold.precision_and_recall(line(4, 6, 20), line(0, 1, 3), k=1)
    assert (precision, recall) == (pytest.approx(1 / 3), pytest.approx(1 / 3))


def test_a_ball_reaches_the_kth_other_point_and_holds_its_rim() -> None:
    centres = line(0, 1, 2, 3)  # k 3: radii 3, 2, 2, 3, so [-3, 6]
    precision, _ = manifold.precision_and_recall(line(-3, -3.01, 6, 6.01), centres)
    assert precision == 0.5


def test_a_generator_that_draws_one_of_two_groups() -> None:
    draws = torch.randn(3, 200, 4, generator=generator("groups"))
    real = torch.cat([draws[0] - 20, draws[1] + 20])
    precision, recall = manifold.precision_and_recall(torch.cat([draws[2] + 20] * 2), real)
    assert precision > 0.8 and recall < 0.5


def test_equal_sets_have_both() -> None:
    points = torch.randn(50, 3, generator=generator("equal"))
    assert manifold.precision_and_recall(points, points) == (1, 1)


def test_as_the_authors_compute_it(monkeypatch: pytest.MonkeyPatch) -> None:
    # knn_precision_recall_features: distances partitioned at k, where the point itself is the nearest
    generated, real = torch.randn(2, 90, 5, generator=generator("authors")).double()
    distance = (generated[:, None] - real[None]).norm(dim=2).numpy()

    def radii(points: Tensor) -> np.ndarray:  # type: ignore[type-arg]
        own = (points[:, None] - points[None]).norm(dim=2).numpy()
        return np.partition(own, manifold.NEIGHBOURS)[:, manifold.NEIGHBOURS]

    inside = distance <= radii(real), distance <= radii(generated)[:, None]
    expected = inside[0].any(1).mean(), inside[1].any(0).mean()
    assert all(0.1 < share < 1 for share in expected)
    for block in (7, 90, 1000):
        monkeypatch.setattr(manifold, "BLOCK", block)
        assert manifold.precision_and_recall(generated, real) == expected


def test_too_few_points_are_refused() -> None:
    with pytest.raises(ValueError, match="no neighbour 3"):
        manifold.precision_and_recall(line(0, 1, 2), line(0, 1, 2, 3))
