"""How well a score of real images tells which of them a generator was trained on."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from diffdistill.metrics.frechet import Array
from diffdistill.metrics.memorisation import DRAWS, p_value, wilson
from diffdistill.runtime.seeds import derive_seed

FALSE_ALARMS = 0.01
"""Share of the others that may be taken for members (Carlini et al. 2022, arXiv 2112.03570)."""


@dataclass(frozen=True)
class Membership:
    """How well a low score tells that an image was trained on; each with a 95 % interval."""

    auc: float
    auc_low: float
    auc_high: float
    """Probability that a member has a lower score than another image, ties one half: 1/2 if nothing is told."""
    tpr: float
    tpr_low: float
    tpr_high: float
    """Share of members found where at most 1 % of the others are taken for members: about 0.01 if nothing is told."""
    p_value: float
    """How often as large an area comes about if members and others change places at random."""


def by_group(scores: Array, groups: Array | None) -> Array:
    """Scores (G,): the mean within each group of scores (N,); as they are without groups."""
    if groups is None:
        return scores
    place = np.unique(groups, return_inverse=True)[1].ravel()
    means: Array = np.bincount(place, scores) / np.bincount(place)
    return means


def membership(members: Array, others: Array, *, seed: int) -> Membership:
    """From scores (N,) of units that were trained on and (M,) of others; units are images, or groups of them.

    The interval of the area is a bootstrap's.
    """
    random = np.random.default_rng(derive_seed("membership", seed))
    auc = _auc(members, others)
    pool = np.concatenate([members, others])
    shuffled, resampled = [], []
    for _ in range(DRAWS):
        mixed = random.permutation(pool)
        shuffled.append(_auc(mixed[: len(members)], mixed[len(members) :]))
        resampled.append(_auc(random.choice(members, len(members)), random.choice(others, len(others))))
    low, high = np.quantile(resampled, [0.025, 0.975]).tolist()
    return Membership(auc, low, high, *_found(members, others), p_value(np.array(shuffled), auc))


def _auc(members: Array, others: Array) -> float:
    others = np.sort(others)
    at_most, below = (np.searchsorted(others, members, side) for side in ("right", "left"))
    return float(1 - (at_most + below).mean() / (2 * len(others)))


def _found(members: Array, others: Array) -> tuple[float, float, float]:
    """The share of members found at FALSE_ALARMS, and its interval: a bootstrap is none for so extreme a quantile.

    The score that lets so many false alarms through lies between two order statistics of the others (binomial). Where
    the others are too few for the lower one, the share at their least score counts in proportion to the false alarms
    that this score may cause, which bounds the wanted share from below on a concave ROC curve.
    """
    others, count = np.sort(others), len(others)

    def below(limit: float) -> tuple[float, float, float]:
        found = wilson(float((members < limit).mean()), len(members))
        return found.low, found.value, found.high

    rank_low, rank_high = (int(stats.binom.ppf(q, count, FALSE_ALARMS)) for q in (0.025, 0.975))
    value = below(others[int(FALSE_ALARMS * count)])[1]
    high = below(others[rank_high])[2] if rank_high < count else 1.0
    if rank_low:
        low = below(others[rank_low - 1])[0]
    else:
        low = below(others[0])[0] * min(1.0, FALSE_ALARMS / (1 - 0.025 ** (1 / count)))
    return value, min(value, low), max(value, high)
