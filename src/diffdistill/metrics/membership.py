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
    sizes = len(members), len(others)
    at_most, below = (np.searchsorted(np.sort(others), members, side) for side in ("right", "left"))

    def area(times: Array, times_other: Array) -> float:
        """With each member, and each of the sorted others, taken so many times."""
        before = np.concatenate([[0], np.cumsum(times_other)])
        return float(1 - (times * (before[at_most] + before[below])).sum() / (2 * sizes[0] * sizes[1]))

    auc = area(*(np.ones(size, dtype=np.int64) for size in sizes))
    ranks = stats.rankdata(np.concatenate([members, others]))
    shuffled, resampled = np.empty(DRAWS), np.empty(DRAWS)
    for draw in range(DRAWS):
        in_members = random.permutation(ranks)[: sizes[0]].sum() - sizes[0] * (sizes[0] + 1) / 2
        shuffled[draw] = 1 - in_members / (sizes[0] * sizes[1])
        resampled[draw] = area(*(np.bincount(random.integers(0, n, n), minlength=n) for n in sizes))
    low, high = np.quantile(resampled, [0.025, 0.975]).tolist()
    return Membership(auc, low, high, *_found(members, others), p_value(shuffled, auc))


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
