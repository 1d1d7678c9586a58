"""Which of the drawn images make up the distilled set, and under which labels.

All results are indices int64 in an order that takes the classes in turn, so that every prefix is as balanced as the
counts allow; in the order of herding and of k-centre, a prefix is also what they give for that many images.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from diffdistill.data.raw import Array
from diffdistill.errors import UserError
from diffdistill.runtime.seeds import generator

Pick = Callable[[Tensor, int, int], Tensor]
"""(indices of a class's images, the class, how many) -> that many of the indices, the best first."""
Greedy = Callable[[Array, int], Array]
"""(features (N, F), how many) -> that many positions, the best first: `herding` or `k_centre`."""


def every(labels: Tensor) -> Tensor:
    """Indices (N,) of all images, in their own order."""
    return torch.arange(len(labels))


def at_random(labels: Tensor, images: int, seed: int) -> Tensor:
    """Sorted indices (images,) int64 picked without replacement, in equal numbers per class if the classes allow it.

    A class with too few images gives all of them. Raises UserError if there are too few in all.
    """
    return per_class(labels, fair_counts(images, labels.bincount().tolist()), randomly(seed)).sort().values


def fair_counts(images: int, sizes: list[int]) -> list[int]:
    """How many images each class gives: equal numbers, but not more than it has; the others share the rest.

    Raises UserError if there are fewer than `images` in all.
    """
    if images > sum(sizes):
        raise UserError(f"{images} images are asked for, but there are {sum(sizes)}; ask for fewer")
    counts, open_classes = [0] * len(sizes), [label for label, size in enumerate(sizes) if size]
    while (left := images - sum(counts)) > 0:
        for label, more in zip(open_classes, quotas(left, len(open_classes)), strict=True):
            counts[label] = min(sizes[label], counts[label] + more)
        open_classes = [label for label in open_classes if counts[label] < sizes[label]]
    return counts


def quotas(images: int, num_classes: int) -> list[int]:
    """How many of `images` each class gives: equal numbers, the first classes one more where they do not divide."""
    return [images // num_classes + (label < images % num_classes) for label in range(num_classes)]


def per_class(labels: Tensor, counts: list[int], pick: Pick) -> Tensor:
    """Indices (sum of counts,) of the images picked in each class, the classes in turn.

    Raises UserError if a class has fewer than its count.
    """
    kept = []
    for label, count in enumerate(counts):
        members = (labels == label).nonzero().flatten()
        if count > len(members):
            raise UserError(f"class {label} has {len(members)} images, but {count} are asked for; ask for fewer")
        kept.append(pick(members, label, count) if count else members[:0])
    chosen = torch.cat(kept)
    return chosen[in_turn(labels[chosen])]


def in_turn(labels: Tensor) -> Tensor:
    """The order (N,) that takes the first image of every class, then every second one, and so on."""
    rank = torch.empty_like(labels)
    for label in labels.bincount().nonzero().flatten():
        members = (labels == label).nonzero().flatten()
        rank[members] = torch.arange(len(members))
    return torch.from_numpy(np.lexsort((labels.numpy(), rank.numpy())))


def randomly(seed: int) -> Pick:
    """Without replacement."""
    return lambda members, label, count: members[
        torch.randperm(len(members), generator=generator("select", seed, label))[:count]
    ]


def by_features(greedy: Greedy, features_of: Callable[[Tensor], Array]) -> Pick:
    """By the features (N, F) of the given indices, one class at a time: those of all would not fit into memory."""
    return lambda members, label, count: members[torch.from_numpy(greedy(features_of(members), count))]


def herding(features: Array, count: int) -> Array:
    """Positions (count,) int64 in features (N, F): each next one brings the mean of those taken closest to that of all.

    Welling 2009, in the form without replacement of Rebuffi et al. 2017 (arXiv 1611.07725), algorithm 4.
    """
    mean, total = features.mean(axis=0), np.zeros(features.shape[1])
    free, chosen = np.ones(len(features), dtype=bool), []
    squares = np.einsum("nf,nf->n", features, features)
    for taken in range(1, count + 1):
        # |mean - (total + x) / taken|^2 * taken^2 without what is the same for every x
        distance = squares - 2 * features @ (taken * mean - total)
        best = int(np.where(free, distance, np.inf).argmin())
        free[best] = False
        total += features[best]
        chosen.append(best)
    return np.array(chosen, dtype=np.int64)


def k_centre(features: Array, count: int) -> Array:
    """Positions (count,) int64 in features (N, F): the nearest to the mean, then always the farthest from all taken.

    Sener and Savarese 2018 (arXiv 1708.00489), algorithm 1: at most twice the smallest possible radius.
    """
    distance, chosen = np.full(len(features), np.inf), []
    best = int(((features - features.mean(axis=0)) ** 2).sum(axis=1).argmin())
    for _ in range(count):
        chosen.append(best)
        distance = np.minimum(distance, ((features - features[best]) ** 2).sum(axis=1))
        distance[best] = -1  # never twice, not even where all images are equal
        best = int(distance.argmax())
    return np.array(chosen, dtype=np.int64)


GREEDY: Mapping[str, Greedy] = {"herding": herding, "k_centre": k_centre}
"""Methods that pick by features, by name."""


def without_label_noise(
    labels: Tensor, predicted: Tensor, confidence: Tensor, *, above: float, label_noise: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Labels (N,), the indices left, and the images bool (N,) that are `contradicted`.

    label_noise: what becomes of these: keep, drop or relabel.
    """
    noisy = contradicted(labels, predicted, confidence, above)
    if label_noise == "keep":
        return labels, every(labels), noisy
    if label_noise == "drop":
        left = (~noisy).nonzero().flatten()
        return labels, left[in_turn(labels[left])], noisy
    labels = torch.where(noisy, predicted, labels)
    return labels, in_turn(labels), noisy


def contradicted(labels: Tensor, predicted: Tensor, confidence: Tensor, above: float) -> Tensor:
    """Images bool (N,) to which a classifier gives another label, with more confidence than `above` (0..1)."""
    return (predicted != labels) & (confidence > above)
