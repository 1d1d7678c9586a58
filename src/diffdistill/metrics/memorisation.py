"""Whether generated images give training images away: tests against held-out ones.

Train and held-out images come from one source, cut at random by class, and by group where images belong together. To a
generator that only learnt the source, it makes no difference which of them it was shown; whatever tells them apart is
memory of single images.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy import stats
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
FEWEST = 5
"""Held-out units of a class from which a bootstrap within it says anything; smaller classes are taken together."""


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
        first = dict[bytes, int]()
        for index, image in enumerate(images):
            first.setdefault(_digest(image), index)
        splits.append(first)
    both = splits[0].keys() & splits[1].keys()
    left = [torch.tensor([index for key, index in first.items() if key not in both]).long() for first in splits]
    return Distinct(left[0], left[1], len(train) - len(splits[0]), len(held_out) - len(splits[1]), len(both))


def stands_in(images: Tensor, references: Tensor) -> Tensor:
    """Which images (N,) bool equal a reference in every pixel; both uint8 (., C, H, W)."""
    known = {_digest(reference) for reference in references}
    return torch.tensor([_digest(image) in known for image in images], dtype=torch.bool)


def _digest(image: Tensor) -> bytes:
    """Equal for equal images alone, and small: whole sets are held by it."""
    return hashlib.sha256(image.numpy().tobytes()).digest()


def pixels(images: Tensor) -> Tensor:
    """uint8 (B, C, H, W) -> (B, C H W) on the scale 0..255; in float64 their distances are exact."""
    return images.flatten(1)


@torch.inference_mode()
def nearest(
    queries: Tensor, references: Tensor, *, embed: Embed, device: torch.device, groups: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """l2 distances (N, 2) float64 and indices (N, 2): the nearest reference, and the nearest of another group.

    Both are images uint8 (., C, H, W); groups: int64 (M,) of the references, None if each stands alone. The second
    distance is infinite if there is no other group. References are embedded block by block, each once, so that memory
    grows with the number of queries alone.
    """
    points = torch.cat([embed(queries[first : first + BLOCK].to(device)) for first in range(0, len(queries), BLOCK)])
    group_of = torch.arange(len(references)) if groups is None else groups
    best = torch.full((len(points), 2), torch.inf, dtype=torch.float64)
    index = torch.zeros(len(points), 2, dtype=torch.int64)
    for first in range(0, len(references), BLOCK):
        block = embed(references[first : first + BLOCK].to(device)).double()
        inside, squares = group_of[first : first + BLOCK].to(device), block.square().sum(1)
        for start in range(0, len(points), BLOCK):
            rows = slice(start, start + BLOCK)
            x = points[rows].double()
            distance = (x.square().sum(1, keepdim=True) + squares - 2 * x @ block.T).clamp(min=0).sqrt()
            near, place = _two(distance, inside.expand(len(x), -1))
            values = torch.cat([best[rows], near.cpu()], 1)
            places = torch.cat([index[rows], place.cpu() + first], 1)
            best[rows], order = _two(values, group_of[places])
            index[rows] = places.gather(1, order)
    return best, index


def _two(distances: Tensor, groups: Tensor) -> tuple[Tensor, Tensor]:
    """Of distances (B, M) and the groups (B, M) of what they lead to: the least, and the least to another group."""
    first = distances.argmin(1, keepdim=True)
    others = distances.masked_fill(groups == groups.gather(1, first), torch.inf)
    second = others.argmin(1, keepdim=True)
    return torch.cat([distances.gather(1, first), others.gather(1, second)], 1), torch.cat([first, second], 1)


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
class Real:
    """What is known of the real images of one split: labels (N,) and groups (N,), None if each stands alone."""

    labels: Array
    groups: Array | None = None

    @property
    def units(self) -> int:
        """How many groups, or images without them, there are: what chance draws."""
        return len(self.labels) if self.groups is None else len(np.unique(self.groups))


@dataclass(frozen=True)
class Share:
    """Of the queries whose nearest image lies in one of two equally large parts, the share of those in train."""

    value: float
    low: float
    high: float
    """95 % interval: the wider of a bootstrap over the real units of each class and split, and of a binomial one
    (Clopper and Pearson 1934) over the queries."""
    p_value: float
    """How often as large a share comes about if train and held-out change places at random within each class."""


def share_in_train(train: Array, held_out: Array, of_train: Real, of_held_out: Real, *, seed: int) -> Share:
    """1/2 where nothing is memorised, 1 where held-out images are never the nearest.

    train, held_out: hits per image (N,) and (M,). The part of train is given its expected number of hits: the mean over
    all train images of a class, as often as the class has held-out ones. A part drawn at random would hide most copies,
    for it seldom holds the image that was copied.
    """
    random = np.random.default_rng(derive_seed("share in train", seed))
    observed, shuffled, resampled = np.zeros(2), np.zeros((DRAWS, 2)), np.zeros((DRAWS, 2))
    counts, sizes = np.zeros(2), np.zeros(2)
    cells = _cells((train, held_out), (of_train, of_held_out))
    for stratum in np.unique(cells[1][2]):
        (h, n), (h_out, n_out) = [(hit[of == stratum], images[of == stratum]) for hit, images, of in cells]
        if not len(h):
            continue
        size = n_out.sum()
        observed += size * np.array([h.sum() / n.sum(), h_out.sum() / size])
        counts += h.sum(), h_out.sum()
        sizes += n.sum(), size
        pool_h, pool_n = np.concatenate([h, h_out]), np.concatenate([n, n_out])
        for draws in np.array_split(np.arange(DRAWS), 1 + DRAWS * len(pool_h) // ELEMENTS):
            mixed = random.permuted(np.tile(np.arange(len(pool_h)), (len(draws), 1)), axis=1)
            parts = mixed[:, len(h_out) :], mixed[:, : len(h_out)]
            shuffled[draws] += size * np.stack([pool_h[part].sum(1) / pool_n[part].sum(1) for part in parts], 1)
            again = [(a, b, random.integers(0, len(a), (len(draws), len(a)))) for a, b in ((h, n), (h_out, n_out))]
            resampled[draws] += size * np.stack([a[some].sum(1) / b[some].sum(1) for a, b, some in again], 1)

    def shares(hits: Array) -> Array:
        total = hits.sum(-1)
        return np.where(total > 0, hits[..., 0] / np.where(total > 0, total, 1), 0.5)

    value = float(shares(observed[None])[0])
    low, high = np.quantile(shares(resampled), [0.025, 0.975]).tolist()
    least, most = _by_queries(counts, sizes)
    return Share(value, min(value, low, least), max(value, high, most), p_value(shares(shuffled), value))


def _cells(hits: tuple[Array, Array], real: tuple[Real, Real]) -> list[tuple[Array, Array, Array]]:
    """Hits, images and stratum of each unit, by split: a group within a class, or an image.

    The stratum is the class, or -1 for the classes with too few held-out units.
    """
    found = []
    for hit, of in zip(hits, real, strict=True):
        if of.groups is None:
            found.append((hit, np.ones(len(hit)), of.labels))
            continue
        keys, place = np.unique(np.stack([of.labels, of.groups]), axis=1, return_inverse=True)
        place = place.ravel()  # some versions of NumPy give it a second axis
        found.append((np.bincount(place, hit), np.bincount(place).astype(np.float64), keys[0]))
    labels, units = np.unique(found[1][2], return_counts=True)
    enough = labels[units >= FEWEST]
    return [(hit, images, np.where(np.isin(label, enough), label, -1)) for hit, images, label in found]


def _by_queries(counts: Array, sizes: Array) -> tuple[float, float]:
    """The share's interval that follows from the number of queries alone; counts, sizes: hits and images by split."""
    if not counts.sum():
        return 0.0, 1.0
    low = stats.beta.ppf(0.025, counts[0], counts[1] + 1) if counts[0] else 0.0
    high = stats.beta.ppf(0.975, counts[0] + 1, counts[1]) if counts[1] else 1.0
    scale = sizes[1] / sizes[0]
    return tuple(float(scale * p / (scale * p + 1 - p)) for p in (low, high))  # type: ignore[return-value]


def p_value(by_chance: Array, observed: float) -> float:
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
    return wilson(float(marked.double().mean()) if len(marked) else 0.0, len(marked))


def wilson(share: float, total: float) -> Proportion:
    """A share of `total` independent ones with its interval."""
    if not total:
        return Proportion(0.0, 0.0, 1.0)
    z = 1.959964
    weight = z**2 / total
    middle, half = share + weight / 2, z * ((share * (1 - share) + weight / 4) / total) ** 0.5
    low, high = max(0.0, (middle - half) / (1 + weight)), min(1.0, (middle + half) / (1 + weight))
    return Proportion(share, min(share, low), max(share, high))


def much_nearer(distances: Tensor) -> Tensor:
    """Which queries (N,) bool lie three times as near to one train image as to any of another group.

    distances: (N, 2) in train, as `nearest` gives them. Yoon et al. 2023, "Diffusion probabilistic models generalize
    when they fail to memorize": a copy, in l2 of pixels.
    """
    return distances[:, 0] < distances[:, 1] / 3
