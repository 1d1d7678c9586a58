"""What the measures of an audit say against their thresholds, and which of them block a release.

A measure passes if its whole 95 % interval lies at or below the threshold, is flagged if it lies above, and cannot tell
otherwise. That all measures pass is no guarantee: see CANNOT_SHOW.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from diffdistill.metrics.membership import Membership
from diffdistill.metrics.memorisation import Proportion, Share, proportion, wilson

Verdict = Literal["pass", "flagged", "cannot tell"]
LEAST = 30
"""Held-out units below which no interval is trusted."""
MOST_IMAGES = 10_000_000
"""A larger number of held-out images is not named as needed."""
CANNOT_SHOW = (
    "An audit can show that images were copied; it cannot show that none were. Audits of synthetic data miss the "
    "records that are most at risk (arXiv 2502.12976). Only training with differential privacy bounds what a set can "
    "give away."
)
AT_CHANCE = "not a statement about privacy: label agreement is at chance"


@dataclass(frozen=True)
class Limit:
    what: str
    """What is measured, for readers."""
    threshold: float
    source: str
    """Where the threshold comes from: a paper or a reason."""


LIMITS: Mapping[str, Limit] = {
    "identical": Limit(
        "generated images that equal a train image in every pixel, less the held-out images that do",
        0.0,
        "reason: an equal image is the image; held-out images show how often the source repeats itself",
    ),
    "copies": Limit(
        "generated images three times nearer to one train image than to any other, less the held-out images that are",
        0.01,
        "one third: Yoon et al. 2023, Diffusion probabilistic models generalize when they fail to memorize; 1 %: "
        "reason, half of what Somepalli et al. 2023 (arXiv 2212.03860) found in Stable Diffusion",
    ),
    "nearest_neighbour": Limit(
        "of the real images nearest to generated ones, those in train rather than held out, by pixels",
        2 / 3,
        "reason: above it, a train image is the nearest more than twice as often as a held-out one",
    ),
    "nearest_neighbour_features": Limit(
        "the same by features of the classifier, which was trained on the train split",
        2 / 3,
        "reason: as nearest_neighbour",
    ),
    "membership_distance": Limit(
        "pairs of a train and a held-out image of which the train image lies nearer to a generated one",
        2 / 3,
        "test: Chen et al. 2020, GAN-Leaks (arXiv 1909.03935); two thirds: reason, as nearest_neighbour",
    ),
    "membership_distance_tail": Limit(
        "train images recognised by the same distance at 1 % false alarms",
        0.1,
        "1 % false alarms: Carlini et al. 2022 (arXiv 2112.03570); 10 %: reason, ten times what chance gives",
    ),
    "membership_loss": Limit(
        "pairs of a train and a held-out image of which the weights have the lower denoising loss on the train image",
        2 / 3,
        "test: Carlini et al. 2023 (arXiv 2301.13188); two thirds: reason, as nearest_neighbour",
    ),
    "membership_loss_tail": Limit(
        "train images recognised by the same loss at 1 % false alarms",
        0.1,
        "1 % false alarms: Carlini et al. 2022 (arXiv 2112.03570); 10 %: reason, ten times what chance gives",
    ),
    "label_agreement": Limit(
        "generated images whose label the classifier predicts",
        math.nan,
        "reason: images without a class resemble no real ones, and then no distance says anything; the threshold is "
        "what independent labels agree",
    ),
}
"""By measure. label_agreement passes above its threshold, which depends on the set; the others at or below."""


@dataclass(frozen=True)
class HeldOut:
    """How many held-out images there are, and how many units: groups of them, or images."""

    images: int
    units: int


@dataclass(frozen=True)
class Measure:
    name: str
    what: str
    value: float
    low: float
    high: float
    """95 % interval."""
    threshold: float
    source: str
    verdict: Verdict
    reason: str
    """Why, in one sentence."""
    held_out_needed: int | None = None
    """About so many held-out images would tell; None if it does tell, or if no number would."""


Needed = Callable[[], int | None]


def judged(name: str, interval: tuple[float, float, float], held_out: HeldOut, needed: Needed | None = None) -> Measure:
    """A measure with its verdict; interval: value, low and high; needed: how many held-out images would tell.

    By default half an interval shrinks with the square root of their number.
    """
    value, low, high = interval
    limit = LIMITS[name]
    threshold, enough = limit.threshold, held_out.units >= LEAST
    fixed = (name, limit.what, value, low, high, threshold, limit.source)
    shown, against = f"{value:.3g} ({low:.3g} to {high:.3g})", f"the threshold {threshold:.3g}"
    if enough and low > threshold:
        return Measure(*fixed, "flagged", f"{shown} lies above {against}")
    if enough and high <= threshold:
        return Measure(*fixed, "pass", f"{shown} does not exceed {against}")
    per_unit = held_out.images / max(1, held_out.units)
    if not enough:
        count: int | None = math.ceil(LEAST * per_unit)
        why = f"{held_out.units} independent held-out units are fewer than {LEAST}"
    else:
        count = needed() if needed is not None else _by_square_root(interval, threshold, held_out.images)
        why = f"{shown} includes {against}"
    wanted = (
        f"about {count:,} held-out images are needed, {held_out.images:,} are there"
        if count is not None
        else "no number of held-out images would tell"
    )
    return Measure(*fixed, "cannot tell", f"{why}; {wanted}", count)


def _by_square_root(interval: tuple[float, float, float], threshold: float, images: int) -> int | None:
    value, low, high = interval
    half, gap = (high - value, threshold - value) if value < threshold else (value - low, value - threshold)
    count = images * (half / gap) ** 2 if gap else math.inf
    return math.ceil(count) if count <= MOST_IMAGES else None


def excess(name: str, marked: Tensor, natural: Tensor, held_out: HeldOut, *, whole: bool) -> Measure:
    """The share of generated images that are marked (N,) less that of held-out images (M,), both bool.

    whole: whether the marks are those of all images of the set, so that their share is known without error upwards.
    The interval is Newcombe's (1998, Statistics in Medicine 17, method 10).
    """
    generated, of_held_out = proportion(marked), proportion(natural)
    threshold = LIMITS[name].threshold

    def needed() -> int | None:
        count = float(held_out.images)
        while count <= MOST_IMAGES:
            _, low, high = _difference(generated, wilson(of_held_out.value, count), whole=whole)
            if low > threshold or high <= threshold:
                return math.ceil(count)
            count *= 1.1
        return None

    return judged(name, _difference(generated, of_held_out, whole=whole), held_out, needed)


def _difference(a: Proportion, b: Proportion, *, whole: bool) -> tuple[float, float, float]:
    value = a.value - b.value
    up = 0.0 if whole else a.high - a.value
    return value, value - math.hypot(a.value - a.low, b.high - b.value), value + math.hypot(up, b.value - b.low)


def nearest(name: str, share: Share, held_out: HeldOut) -> Measure:
    return judged(name, (share.value, share.low, share.high), held_out)


def membership(name: str, found: Membership, held_out: HeldOut) -> list[Measure]:
    """Two measures: of all images together, and of those that are recognised best, which an average hides."""
    return [
        judged(name, (found.auc, found.auc_low, found.auc_high), held_out),
        judged(f"{name}_tail", (found.tpr, found.tpr_low, found.tpr_high), held_out),
    ]


def label_agreement(labels: Tensor, predicted: Tensor, num_classes: int) -> Measure:
    """Whether labels and predictions int64 (N,) agree more often than independent ones would."""
    agreed, limit = proportion(labels == predicted), LIMITS["label_agreement"]
    shares = [values.bincount(minlength=num_classes).double() / max(1, len(values)) for values in (labels, predicted)]
    chance = float((shares[0] * shares[1]).sum())
    above = agreed.low > chance
    shown = f"{agreed.value:.3g} ({agreed.low:.3g} to {agreed.high:.3g})"
    reason = f"{shown} lies above chance, {chance:.3g}" if above else f"{AT_CHANCE}, {shown} against {chance:.3g}"
    return Measure(
        "label_agreement", limit.what, agreed.value, agreed.low, agreed.high, chance, limit.source,
        "pass" if above else "cannot tell", reason,
    )  # fmt: skip


def verdict(measures: Sequence[Measure]) -> Verdict:
    """Of all measures together: flagged if one is, otherwise cannot tell if one cannot."""
    found = {measure.verdict for measure in measures}
    return "flagged" if "flagged" in found else "cannot tell" if "cannot tell" in found else "pass"


def blocking(audit: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The measures in the record of an audit that do not pass, flagged ones first."""
    found = [measure for measure in audit["measures"] if measure["verdict"] != "pass"]
    return sorted(found, key=lambda measure: measure["verdict"] != "flagged")
