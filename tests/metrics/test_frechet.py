"""The Fréchet distance against closed forms and scipy's matrix root."""

import numpy as np
import pytest
import scipy.linalg

from diffdistill.errors import UserError
from diffdistill.metrics.frechet import class_distance, frechet_distance, mean_and_covariance

RANDOM = np.random.default_rng(0)


def test_identical_sets_are_at_zero() -> None:
    statistics = mean_and_covariance(RANDOM.normal(size=(500, 64)))
    assert frechet_distance(*statistics, *statistics) < 1e-6


def test_closed_forms() -> None:
    eye, shift = np.eye(5), np.arange(5.0)
    assert frechet_distance(np.zeros(5), eye, shift, eye) == pytest.approx(float(shift @ shift))
    one, nine = np.array([[1.0]]), np.array([[9.0]])
    assert frechet_distance(np.zeros(1), one, np.zeros(1), nine) == pytest.approx(4.0)


def test_equal_to_the_matrix_root() -> None:
    a = mean_and_covariance(RANDOM.normal(size=(400, 32)) @ RANDOM.normal(size=(32, 32)))
    b = mean_and_covariance(RANDOM.normal(size=(300, 32)) + 0.3)
    root = scipy.linalg.sqrtm(a[1] @ b[1]).real
    expected = ((a[0] - b[0]) ** 2).sum() + np.trace(a[1]) + np.trace(b[1]) - 2 * np.trace(root)
    assert frechet_distance(*a, *b) == pytest.approx(expected, rel=1e-8)


def test_fewer_images_than_features_and_a_single_colour_are_finite() -> None:
    few = mean_and_covariance(RANDOM.normal(size=(10, 512)))
    flat = mean_and_covariance(np.ones((100, 512)))
    for distance in (frechet_distance(*few, *flat), frechet_distance(*flat, *few), frechet_distance(*few, *few)):
        assert np.isfinite(distance) and distance >= 0


def test_features_that_are_not_finite_name_the_image() -> None:
    features = np.zeros((5, 3))
    features[3, 1] = np.nan
    with pytest.raises(UserError, match="image 3"):
        mean_and_covariance(features)


def in_turn(*classes: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    """Points (n K, F) of K classes (n, F) each, row i of class i mod K."""
    return np.stack(classes, 1).reshape(-1, classes[0].shape[1])


def test_the_distance_by_class_against_its_closed_form() -> None:
    # two points at m - s and m + s have mean m and standard deviation s sqrt 2
    one, other, up = np.array([[-1.0, 0.0], [1.0, 0.0]]), np.array([[-3.0, 0.0], [3.0, 0.0]]), np.array([0.0, 5.0])
    assert class_distance(one, one + up, 1) == pytest.approx(25)
    assert class_distance(one, other, 1) == pytest.approx(8)
    assert class_distance(in_turn(one, one), in_turn(other, one + up), 2) == pytest.approx((8 + 25) / 2)


def test_equals_the_full_distance_where_covariances_are_diagonal() -> None:
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-2, 2) for z in (0, 1)], dtype=float)
    a, b = corners * [1, 2, 3], corners * [4, 1, 2] + [0, 1, 7]
    full = frechet_distance(*mean_and_covariance(a), *mean_and_covariance(b))
    assert class_distance(a, b, 1) == pytest.approx(full)


def test_changed_places_of_two_classes_are_seen_by_class_alone() -> None:
    a, b = RANDOM.normal(size=(200, 8)) - 1, RANDOM.normal(size=(200, 8)) + 1
    right, wrong = in_turn(a, b), in_turn(b, a)
    assert frechet_distance(*mean_and_covariance(right), *mean_and_covariance(wrong)) < 1e-6
    assert class_distance(right, right, 2) == 0 and class_distance(right, wrong, 2) == pytest.approx(32, rel=0.1)


def test_few_images_a_class_leave_the_sampling_error_that_the_docstring_says() -> None:
    each, classes, features = 20, 50, 64
    a, b = RANDOM.normal(size=(2, each * classes, features))
    # of the means 2 / n, and of the spreads 2 / (2 n), a feature
    assert class_distance(a, b, classes) == pytest.approx(features * 3 / each, rel=0.1)


@pytest.mark.parametrize(("rows_a", "rows_b"), [(4, 6), (5, 5), (2, 2)])
def test_sets_without_two_images_of_each_class_are_refused(rows_a: int, rows_b: int) -> None:
    with pytest.raises(ValueError, match="a class"):
        class_distance(np.zeros((rows_a, 3)), np.zeros((rows_b, 3)), 2)
