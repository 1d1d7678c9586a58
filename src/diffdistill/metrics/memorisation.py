"""Whether generated images, or the weights that drew them, give training images away: tests against held-out ones.

Train and held-out images come from one source, cut at random by class. To a generator that only learnt the source, it
makes no difference which of them it was shown; whatever tells them apart is memory of single images.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from diffdistill.metrics.frechet import Array
from diffdistill.runtime.seeds import derive_seed

Embed = Callable[[Tensor], Tensor]
"""Images uint8 (B, C, H, W) -> points (B, F), between which distances are taken."""
BLOCK = 2048
"""Images whose points are held as float64 at a time."""
DRAWS = 2000
"""Of every permutation and bootstrap."""
ELEMENTS = 2**23
"""Numbers that these hold at a time."""


@dataclass(frozen=True)
class Distinct:
    """What is left of two splits once images that stand twice are out; indices int64 into the splits."""

    train: Tensor
    held_out: Tensor
    inside_train: int
    inside_held_out: int
    in_both: int


def distinct(train: Tensor, held_out: Tensor) -> Distinct:
    """Of images uint8 (N, C, H, W) that are equal inside a split one is left, of those in both splits none."""
    splits = []
    for images in (train, held_out):
        first: dict[bytes, int] = {}
        for index, image in enumerate(images):
            first.setdefault(image.numpy().tobytes(), index)
        splits.append(first)
    both = splits[0].keys() & splits[1].keys()
    left = [torch.tensor([index for key, index in first.items() if key not in both]).long() for first in splits]
    return Distinct(left[0], left[1], len(train) - len(splits[0]), len(held_out) - len(splits[1]), len(both))


def pixels(images: Tensor) -> Tensor:
    """uint8 (B, C, H, W) -> (B, C H W) on the scale 0..255; in float64 their distances are exact."""
    return images.flatten(1)


@torch.inference_mode()
def nearest(
    queries: Tensor, references: Tensor, count: int, *, embed: Embed, device: torch.device
) -> tuple[Tensor, Tensor]:
    """l2 distances (N, count) float64, rising, and indices (N, count) of the references nearest to each query.

    Both are images uint8 (., C, H, W). References are embedded block by block, each once, so that memory grows with the
    number of queries alone.
    """
    points = torch.cat([embed(queries[first : first + BLOCK].to(device)) for first in range(0, len(queries), BLOCK)])
    best = torch.full((len(points), count), torch.inf, dtype=torch.float64)
    index = torch.zeros(len(points), count, dtype=torch.int64)
    for first in range(0, len(references), BLOCK):
        block = embed(references[first : first + BLOCK].to(device)).double()
        squares = block.square().sum(1)
        for start in range(0, len(points), BLOCK):
            rows = slice(start, start + BLOCK)
            x = points[rows].double()
            distance = (x.square().sum(1, keepdim=True) + squares - 2 * x @ block.T).clamp(min=0).sqrt()
            near = distance.topk(min(count, len(block)), largest=False)
            merged = torch.cat([best[rows], near.values.cpu()], 1)
            places = torch.cat([index[rows], near.indices.cpu() + first], 1)
            best[rows], order = merged.topk(count, largest=False)
            index[rows] = places.gather(1, order)
    return best, index


def hits(train: tuple[Tensor, Tensor], held_out: tuple[Tensor, Tensor], sizes: tuple[int, int]) -> tuple[Array, Array]:
    """Of how many queries each train and each held-out image is the nearest of all; equally near ones count half.

    train, held_out: what `nearest` found in each; sizes: how many images each has.
    """
    (near, place), (far, other) = [(distance[:, 0], index[:, 0]) for distance, index in (train, held_out)]
    won = (near < far).double() + 0.5 * (near == far).double()
    return (
        torch.zeros(sizes[0], dtype=torch.float64).index_add_(0, place, won).numpy(),
        torch.zeros(sizes[1], dtype=torch.float64).index_add_(0, other, 1 - won).numpy(),
    )


@dataclass(frozen=True)
class Share:
    """Of the queries whose nearest image lies in one of two equally large parts, the share of those in train."""

    value: float
    low: float
    high: float
    """95 % interval, by bootstrap over the real images of each class and split."""
    p_value: float
    """How often as large a share comes about if train and held-out change places at random within each class."""


def share_in_train(train: Array, held_out: Array, train_labels: Array, held_out_labels: Array, *, seed: int) -> Share:
    """1/2 where nothing is memorised, 1 where held-out images are never the nearest.

    train, held_out: hits per image (N,) and (M,). The part of train is given its expected number of hits: the mean over
    all train images of a class, as often as the class has held-out ones. A part drawn at random would hide most copies,
    for it seldom holds the image that was copied.
    """
    random = np.random.default_rng(derive_seed("share in train", seed))
    observed, shuffled, resampled = np.zeros(2), np.zeros((DRAWS, 2)), np.zeros((DRAWS, 2))
    for label in np.unique(held_out_labels):
        parts = train[train_labels == label], held_out[held_out_labels == label]
        if not len(parts[0]):
            continue
        size, pool = len(parts[1]), np.concatenate(parts)
        observed += size * np.array([part.mean() for part in parts])
        for draws in np.array_split(np.arange(DRAWS), 1 + DRAWS * len(pool) // ELEMENTS):
            mixed = random.permuted(np.tile(pool, (len(draws), 1)), axis=1)
            shuffled[draws] += size * np.stack([mixed[:, size:].mean(1), mixed[:, :size].mean(1)], 1)
            again = [random.choice(part, (len(draws), len(part))) for part in parts]
            resampled[draws] += size * np.stack([part.mean(1) for part in again], 1)

    def shares(hits: Array) -> Array:
        total = hits.sum(-1)
        return np.where(total > 0, hits[..., 0] / np.where(total > 0, total, 1), 0.5)

    value = float(shares(observed[None])[0])
    low, high = np.quantile(shares(resampled), [0.025, 0.975])
    return Share(value, float(low), float(high), _p_value(shares(shuffled), value))


def _p_value(by_chance: Array, observed: float) -> float:
    """One-sided, of a permutation test; the observed value is one of the permutations."""
    return (1 + int((by_chance >= observed - 1e-12).sum())) / (1 + len(by_chance))


@dataclass(frozen=True)
class Proportion:
    value: float
    low: float
    high: float
    """95 % interval of Wilson 1927; 0 to 1 of none."""


def proportion(marked: Tensor) -> Proportion:
    """Of the marks bool (N,) those that are set."""
    total, z = len(marked), 1.959964
    if not total:
        return Proportion(0.0, 0.0, 1.0)
    share, weight = float(marked.double().mean()), z**2 / total
    middle, half = share + weight / 2, z * ((share * (1 - share) + weight / 4) / total) ** 0.5
    return Proportion(share, max(0.0, (middle - half) / (1 + weight)), min(1.0, (middle + half) / (1 + weight)))


def much_nearer(distances: Tensor) -> Tensor:
    """Which queries (N,) bool lie three times as near to one train image as to any other; distances (N, 2) in train.

    Yoon et al. 2023, "Diffusion probabilistic models generalize when they fail to memorize": a copy, in l2 of pixels.
    """
    return distances[:, 0] < distances[:, 1] / 3


@dataclass(frozen=True)
class Membership:
    """How well a lower loss tells that an image was trained on; each with the 95 % interval of a bootstrap."""

    auc: float
    auc_low: float
    auc_high: float
    """Probability that a member has a lower loss than another image, ties one half: 1/2 if nothing is told."""
    tpr: float
    tpr_low: float
    tpr_high: float
    """Share of members found where at most 1 % of the others are taken for members: about 0.01 if nothing is told."""
    p_value: float
    """How often as large an area comes about if members and others change places at random."""


def membership(members: Array, others: Array, *, seed: int) -> Membership:
    """From losses (N,) of images that were trained on and (M,) of others."""
    random = np.random.default_rng(derive_seed("membership", seed))
    auc, tpr = _auc_and_tpr(members, others)
    pool = np.concatenate([members, others])
    shuffled, resampled = [], []
    for _ in range(DRAWS):
        mixed = random.permutation(pool)
        shuffled.append(_auc_and_tpr(mixed[: len(members)], mixed[len(members) :])[0])
        resampled.append(_auc_and_tpr(*(random.choice(part, len(part)) for part in (members, others))))
    (auc_low, tpr_low), (auc_high, tpr_high) = np.quantile(resampled, [0.025, 0.975], axis=0).tolist()
    return Membership(auc, auc_low, auc_high, tpr, tpr_low, tpr_high, _p_value(np.array(shuffled), auc))


def _auc_and_tpr(members: Array, others: Array) -> tuple[float, float]:
    others = np.sort(others)
    at_most, below = (np.searchsorted(others, members, side) for side in ("right", "left"))
    limit = others[int(0.01 * len(others))]
    return float(1 - (at_most + below).mean() / (2 * len(others))), float((members < limit).mean())


MOST_SHARE = 2 / 3
"""Above it, a train image is the nearest more than twice as often as one that was held out."""
MOST_TPR = 0.1
"""Above it, more than ten times as many members are found as if nothing were told."""


def reasons(
    shares: dict[str, Share], copies: tuple[Proportion, Proportion], member: Membership | None
) -> tuple[list[str], list[str]]:
    """What flags a set or its weights as memorised, and what is noticed but weaker, in words.

    shares: by the space of the distances; copies: of generated and of held-out images, those that are much nearer to
    one train image than to any other. Flagged is what exceeds its limit by the whole 95 % interval: that any trained
    network knows its images a little better than others is no copy.
    """
    flagged, noticed = [], []
    for space, share in shares.items():
        if share.low > MOST_SHARE:
            flagged.append(f"by {space}, {share.value:.2f} of the nearest real images lie in train, 0.5 are expected")
        elif share.low > 0.5:
            noticed.append(f"by {space}, train images are nearest a little too often: {share.value:.2f} for 0.5")
    if copies[0].low > copies[1].high:
        flagged.append(f"{copies[0].value:.2%} of the generated images are three times nearer to one train image")
    if member is None:
        return flagged, noticed
    if member.tpr_low > MOST_TPR:
        flagged.append(f"the loss finds {member.tpr:.0%} of the train images at 1 % false alarms")
    elif member.auc_low > 0.5:
        noticed.append(f"the loss is lower on train images: area {member.auc:.2f} for 0.5")
    return flagged, noticed
