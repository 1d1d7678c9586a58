"""The Fréchet distance of two Gaussians (Dowson and Landau 1982; for images Heusel et al. 2017, arXiv 1706.08500)."""

from typing import Any

import numpy as np

from diffdistill.errors import UserError

Array = np.ndarray[Any, Any]


def mean_and_covariance(features: Array) -> tuple[Array, Array]:
    """(F,) and (F, F) float64 of features (N, F). Raises UserError naming the first image that is not finite."""
    broken = np.flatnonzero(~np.isfinite(features).all(axis=1))
    if len(broken):
        raise UserError(
            f"the features of image {broken[0]} are not finite ({len(broken)} such images); draw them again"
        )
    exact = features.astype(np.float64)
    return exact.mean(axis=0), np.atleast_2d(np.cov(exact, rowvar=False))


def frechet_distance(mean_a: Array, cov_a: Array, mean_b: Array, cov_b: Array) -> float:
    """|mean_a - mean_b|^2 + tr(A + B - 2 (A B)^(1/2)), never negative; means (F,), covariances (F, F).

    The trace of the root is the sum of the roots of the eigenvalues of A^(1/2) B A^(1/2), which is symmetric: real, and
    far cheaper than a matrix root. Raises UserError if a number is not finite.
    """
    values = [np.asarray(part, dtype=np.float64) for part in (mean_a, cov_a, mean_b, cov_b)]
    if not all(np.isfinite(part).all() for part in values):
        raise UserError("a mean or covariance of features is not finite; make the features again")
    mean_a, cov_a, mean_b, cov_b = values
    eigenvalues, vectors = np.linalg.eigh(cov_a)
    root_a = (vectors * np.sqrt(eigenvalues.clip(min=0))) @ vectors.T
    inner = np.linalg.eigvalsh(root_a @ cov_b @ root_a)
    difference = mean_a - mean_b
    trace = np.trace(cov_a) + np.trace(cov_b) - 2 * np.sqrt(inner.clip(min=0)).sum()
    return max(0.0, float(difference @ difference + trace))


def class_distance(points_a: Array, points_b: Array, num_classes: int) -> float:
    """Mean over the K classes of the Fréchet distance of Gaussians with diagonal covariances.

    points: (N, F) each, row i of class i mod K, equally many of each class in both, two at least. For diagonal
    covariances the distance is |mean_a - mean_b|^2 + |std_a - std_b|^2. A class has few images: a full covariance needs
    many more of them than features, and what its estimate lacks would outweigh what the images differ by; mean and
    spread of single features need some ten. Their sampling error, about 3 / n of the variance for n images a class, is
    left in: values compare at equal n. Raises ValueError for sets that are not balanced so.
    """
    if points_a.shape != points_b.shape or len(points_a) % num_classes or len(points_a) < 2 * num_classes:
        raise ValueError(f"{points_a.shape} and {points_b.shape} are not the same two or more rows a class")
    a, b = (
        points.astype(np.float64).reshape(-1, num_classes, points.shape[1])  # (n, K, F)
        for points in (points_a, points_b)
    )
    means = ((a.mean(axis=0) - b.mean(axis=0)) ** 2).sum(axis=1)
    spreads = ((a.std(axis=0, ddof=1) - b.std(axis=0, ddof=1)) ** 2).sum(axis=1)
    return float((means + spreads).mean())
