"""The Fréchet distance by eigenvalues against scipy's matrix root."""

import numpy as np
import scipy.linalg

from benchmarks.measuring import PAIRS, Row, times_faster
from diffdistill.metrics.frechet import frechet_distance

FEATURES, TOY_FEATURES = 2048, 64


def rows(toy: bool = False) -> list[Row]:
    features = TOY_FEATURES if toy else FEATURES
    random = np.random.default_rng(0)
    a, b = (np.cov(random.normal(size=(2 * features, features)), rowvar=False) for _ in range(2))
    zero = np.zeros(features)

    def root() -> float:
        return float(np.trace(a + b - 2 * scipy.linalg.sqrtm(a @ b).real))

    assert abs(root() - frechet_distance(zero, a, zero, b)) < 1e-6 * root()
    ratios = times_faster(root, lambda: frechet_distance(zero, a, zero, b), 1 if toy else PAIRS)
    return [Row(f"Fréchet distance, {features} features, equal to 1e-6", "scipy.linalg.sqrtm", 5, ratios)]
