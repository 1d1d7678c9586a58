"""The Fréchet distance against closed forms and scipy's matrix root."""

import numpy as np
import pytest
import scipy.linalg

from diffdistill.errors import UserError
from diffdistill.metrics.frechet import frechet_distance, mean_and_covariance

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
