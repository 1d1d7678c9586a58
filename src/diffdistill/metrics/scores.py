"""What accuracies say about a distilled set beyond their mean; every accuracy is a share, 0..1, of the last epoch."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from diffdistill.metrics.frechet import Array

DRAWS, INTERVAL = 2000, 0.95
ROUNDING = 1e-9
"""Accuracies that differ by less are equal: a mean of means is not exact."""


def label_robust(real: float, distilled: float, random: float, weight: float = 0.5) -> float:
    """LRS of DD-Ranking (Li et al. 2025, arXiv 2505.13300), 0..1: how much of the real accuracy hard labels recover,
    HLR = real - distilled, and how far the set is ahead of as many random real images, IOR = distilled - random.

    1 would be certainty against no knowledge at all; 0.269 is a set that equals both rivals. Their shipped code takes
    the best test accuracy over epochs and over five learning rates, and percentages, not shares, into the exponent.
    """
    return _normalised(weight * (distilled - random) - (1 - weight) * (real - distilled))


def augmentation_robust(
    distilled: float, random: float, distilled_plain: float, random_plain: float, weight: float = 0.5
) -> float:
    """ARS of DD-Ranking, 0..1: the lead over as many random real images with augmentation and, plain, without any.

    0.269 is a set that equals random images both times. Their shipped code differs as for `label_robust`.
    """
    return _normalised(weight * (distilled - random) + (1 - weight) * (distilled_plain - random_plain))


def _normalised(alpha: float) -> float:
    """(e^alpha - e^-1) / (e - e^-1): -1..1 to 0..1."""
    return (math.exp(alpha) - math.exp(-1)) / (math.e - math.exp(-1))


@dataclass(frozen=True)
class Split:
    """Standard deviations of one accuracy: by the set that was drawn, and by the training on a given set."""

    mean: float
    generation: float
    training: float
    standard_error: float
    """Of the mean, over new sets and new trainings."""


def variance_split(accuracies: Array) -> Split:
    """The one-way random-effects estimate (analysis of variance) of accuracies (sets, trainings on each).

    With S trainings a set: training^2 = MS_within; generation^2 = (MS_between - MS_within) / S, or 0 where negative.
    Raises ValueError for less than two sets or two trainings each.
    """
    sets, trainings = accuracies.shape
    if sets < 2 or trainings < 2:
        raise ValueError(f"two sets and two trainings each are needed, found {sets} and {trainings}")
    between = trainings * accuracies.mean(axis=1).var(ddof=1)
    within = accuracies.var(axis=1, ddof=1).mean()
    generation = math.sqrt(max(0.0, (between - within) / trainings))
    error = math.sqrt(between / accuracies.size)
    return Split(float(accuracies.mean()), generation, math.sqrt(within), error)


@dataclass(frozen=True)
class RealEquivalentSize:
    """Real images per class; 0: fewer than the smallest number measured, infinity: more than the largest."""

    value: float
    low: float
    high: float
    """Bounds of the 95 % interval; not a number where an accuracy was measured once."""


def real_equivalent_size(sizes: Sequence[float], real: Sequence[Array], distilled: Array) -> RealEquivalentSize:
    """How many random real images per class give the accuracy of the distilled set.

    sizes (P,): images per class, rising; real: the accuracies (S,) at each; distilled: those (S,) of the whole set. The
    curve joins the means, made monotone by isotonic regression, by straight lines over the logarithm of the size.
    The interval is that of its value when each mean is drawn from mean + std / sqrt(S) * t with S - 1 degrees of
    freedom: what S trainings with other images and seeds leave open. Raises ValueError for less than two sizes.
    """
    if len(sizes) < 2 or not all(a < b for a, b in itertools.pairwise(sizes)):
        raise ValueError(f"two rising sizes at least are needed, found {list(sizes)}")
    parts = [*real, distilled]
    means = np.array([part.mean() for part in parts])
    value = _crossing(np.log(sizes), means[:-1], means[-1])
    if min(map(len, parts)) < 2:
        return RealEquivalentSize(value, math.nan, math.nan)
    draws = np.random.default_rng(0)
    drawn = np.stack(
        [
            part.mean() + part.std(ddof=1) / math.sqrt(len(part)) * draws.standard_t(len(part) - 1, DRAWS)
            for part in parts
        ],
        axis=1,
    )  # (DRAWS, P + 1)
    values = np.sort([_crossing(np.log(sizes), row[:-1], row[-1]) for row in drawn])
    edge = (1 - INTERVAL) / 2  # a quantile that interpolates would fail between a number and infinity
    return RealEquivalentSize(value, float(values[int(edge * DRAWS)]), float(values[int((1 - edge) * DRAWS) - 1]))


def _crossing(log_sizes: Array, accuracies: Array, level: float) -> float:
    """The smallest size at which the monotone curve reaches the level; 0 if all of it is above, infinity if below."""
    from sklearn.isotonic import isotonic_regression  # a second that tables without a study do not need

    curve = isotonic_regression(accuracies)
    above = int(np.searchsorted(curve, level - ROUNDING))  # the first point that reaches it
    if above == 0:
        return float(np.exp(log_sizes[0])) if level > curve[0] - ROUNDING else 0.0
    if above == len(curve):
        return math.inf
    share = min(1.0, (level - curve[above - 1]) / (curve[above] - curve[above - 1]))
    return float(np.exp(log_sizes[above - 1] + share * (log_sizes[above] - log_sizes[above - 1])))
