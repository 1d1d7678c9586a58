"""Parts of each class, found without labels, that the network is told apart: Adaloglou et al. 2024 (arXiv 2403.00570).

A network that knows what kind of three it draws needs not cover all threes with one label. While drawing, the part of
image i follows from (seed, i), with the frequency that it has among the train images.
"""

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import torch
from torch import Tensor

from diffdistill.errors import UserError
from diffdistill.runtime import tensor_files
from diffdistill.runtime.seeds import derive_seed


def divided(features: Tensor, labels: Tensor, num_classes: int, parts: int, seed: int) -> Tensor:
    """The part int64 (N,) of each image in 0..parts-1: k-means on features (N, F) float within each class.

    Parts are numbered from the largest. Raises UserError if a class has fewer images than parts.
    """
    from sklearn.cluster import KMeans  # half a second that only this needs

    found = torch.zeros_like(labels)
    for label in range(num_classes):
        members = (labels == label).nonzero().flatten()
        if len(members) < parts:
            raise UserError(f"train.subclasses: class {label} has {len(members)} images, fewer than {parts}; lower it")
        clusters = KMeans(parts, n_init=10, random_state=derive_seed("subclasses", seed, label) % 2**32)
        assigned = torch.from_numpy(clusters.fit_predict(features[members].double().numpy())).long()
        rank = assigned.bincount(minlength=parts).argsort(descending=True, stable=True).argsort()
        found[members] = rank[assigned]
    return found


def labels_of(labels: Tensor, num_classes: int, files: Sequence[Path]) -> tuple[Tensor, list[list[int]]]:
    """The network's labels int64 (N,), and how many images each part of each class has; without a file the classes.

    Raises UserError if the file is not of these images.
    """
    if not files:
        return labels, []
    tensors, _ = tensor_files.load(files[0])
    parts = tensors.get("parts", torch.empty(0))
    if parts.shape != labels.shape or parts.dtype != torch.int64:
        raise UserError(f"{files[0]}: not the parts of these {len(labels)} images; delete it and run again")
    count = int(parts.max()) + 1
    counts = torch.bincount(labels * count + parts, minlength=num_classes * count).reshape(num_classes, count)
    return parts * num_classes + labels, counts.tolist()


def drawn(labels: Tensor, counts: Sequence[Sequence[int]], *, seed: int, first: int) -> Tensor:
    """The network's labels int64 (B,) of images first, first+1, …, whose classes are labels (B,)."""
    if not counts:
        return labels
    bounds = [[one / sum(row) for one in accumulate(row)] for row in counts]
    drawn = labels.tolist()
    for i, label in enumerate(drawn):
        uniform = derive_seed("subclass", seed, first + i) / 2**63
        drawn[i] += len(counts) * sum(bound <= uniform for bound in bounds[label])
    return torch.tensor(drawn)
