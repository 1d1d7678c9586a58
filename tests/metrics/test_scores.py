"""Scores against closed forms, tables computed by hand, and simulations whose truth is known."""

import math

import numpy as np
import pytest

from diffdistill.metrics import scores

EQUAL = (1 - 1 / math.e) / (math.e - 1 / math.e)


def test_label_robust_score_in_closed_form() -> None:
    assert scores.label_robust(real=0, distilled=1, random=0) == pytest.approx(1)
    assert scores.label_robust(real=1, distilled=0, random=1) == pytest.approx(0)
    assert scores.label_robust(real=0.7, distilled=0.7, random=0.7) == pytest.approx(EQUAL)
    # HLR 0.2 and IOR 0.3 with weight 0.6: alpha 0.6 * 0.3 - 0.4 * 0.2 = 0.1
    expected = (math.exp(0.1) - math.exp(-1)) / (math.e - math.exp(-1))
    assert scores.label_robust(real=0.7, distilled=0.5, random=0.2, weight=0.6) == pytest.approx(expected)


def test_augmentation_robust_score_in_closed_form() -> None:
    assert scores.augmentation_robust(1, 0, 1, 0) == pytest.approx(1)
    assert scores.augmentation_robust(0, 1, 0, 1) == pytest.approx(0)
    assert scores.augmentation_robust(0.6, 0.5, 0.3, 0.4) == pytest.approx(EQUAL)  # what one gains the other loses


def test_variance_is_split_as_by_hand() -> None:
    found = scores.variance_split(np.array([[1.0, 3.0], [5.0, 7.0]]))
    # within: 2; between: 2 * var(2, 6) = 16; (16 - 2) / 2 = 7; error of the mean: sqrt(16 / 4)
    assert (found.mean, found.standard_error) == (4, 2)
    assert (found.training**2, found.generation**2) == pytest.approx((2, 7))
    assert scores.variance_split(np.array([[1.0, 3.0], [3.0, 1.0]])).generation == 0
    with pytest.raises(ValueError, match="two trainings"):
        scores.variance_split(np.ones((3, 1)))


def test_known_spreads_are_told_apart() -> None:
    draws = np.random.default_rng(0)
    accuracies = 0.5 + 0.03 * draws.standard_normal((4000, 1)) + 0.02 * draws.standard_normal((4000, 3))
    found = scores.variance_split(accuracies)
    assert (found.generation, found.training) == pytest.approx((0.03, 0.02), rel=0.05)
    assert found.standard_error == pytest.approx(math.sqrt(0.03**2 / 4000 + 0.02**2 / 12000), rel=0.05)


def of(*means: float) -> list[np.ndarray]:
    return [np.array([mean, mean]) for mean in means]


@pytest.mark.parametrize(
    ("accuracy", "images"),
    [(0.3, 10), (0.45, math.sqrt(10 * 100)), (0.6, 100), (0.8, 1000), (0.81, math.inf), (0.29, 0)],
)
def test_the_real_equivalent_size_is_interpolated_in_the_logarithm(accuracy: float, images: float) -> None:
    found = scores.real_equivalent_size([10, 100, 1000], of(0.3, 0.6, 0.8), np.array([accuracy, accuracy]))
    assert (found.value, found.low, found.high) == pytest.approx((images, images, images))  # no spread, no interval


def test_a_curve_that_falls_is_made_monotone_and_the_smallest_size_counts() -> None:
    flat = scores.real_equivalent_size([1, 2, 4, 8], of(0.5, 0.7, 0.6, 0.9), np.array([0.65]))
    assert flat.value == pytest.approx(2) and math.isnan(flat.low)  # isotonic: 0.5, 0.65, 0.65, 0.9
    with pytest.raises(ValueError, match="rising sizes"):
        scores.real_equivalent_size([2, 1], of(0.5, 0.6), np.array([0.5]))


def test_the_interval_is_that_of_error_propagation_where_trainings_are_many() -> None:
    runs, std, slope = 400, 0.02, 0.1
    wave = np.sqrt(2) * std * np.sin(2 * np.pi * np.arange(runs) / runs)  # of this standard deviation, mean 0
    sizes = [math.exp(level) for level in range(5)]
    found = scores.real_equivalent_size(sizes, [0.2 + slope * math.log(size) + wave for size in sizes], 0.45 + wave)
    # half way between two points: the curve's error there is std / sqrt(2 runs), the level's std / sqrt(runs)
    half = 1.96 * math.sqrt(1.5) * std / math.sqrt(runs) / slope
    bounds = math.log(found.low), math.log(found.value), math.log(found.high)
    assert bounds == pytest.approx((2.5 - half, 2.5, 2.5 + half), abs=0.1 * half)


def test_an_interval_may_leave_the_curve() -> None:
    real = [np.array([0.5, 0.5]), np.array([0.58, 0.62])]
    found = scores.real_equivalent_size([10, 100], real, np.array([0.58, 0.6]))
    assert 10 < found.value < 100 and found.low < found.value and found.high == math.inf
