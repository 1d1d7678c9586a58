"""Sub-classes of each class, found by clustering: Adaloglou et al. 2024 (arXiv 2403.00570).

Conditioning on a sub-class lets the network model each mode of a class separately.
"""

from pathlib import Path

import torch
from torch import Tensor

from diffdistill.diffusion.labels import with_subclasses
from diffdistill.errors import UserError
from diffdistill.runtime import tensor_files
from diffdistill.runtime.seeds import derive_seed


def cluster(features: Tensor, labels: Tensor, num_classes: int, count: int, seed: int) -> Tensor:
    """The sub-class int64 (N,) of each image in 0..count-1: k-means on features (N, F) float within each class.

    Sub-classes are numbered from the largest. Raises UserError if a class has fewer images than sub-classes.
    """
    from sklearn.cluster import KMeans  # half a second that only this needs

    parts = torch.zeros_like(labels)
    for label in range(num_classes):
        members = (labels == label).nonzero().flatten()
        if len(members) < count:
            raise UserError(f"class {label} has {len(members)} images, fewer than the {count} sub-classes asked for")
        clusters = KMeans(count, n_init=10, random_state=derive_seed("subclasses", seed, label) % 2**32)
        assigned = torch.from_numpy(clusters.fit_predict(features[members].double().numpy())).long()
        rank = assigned.bincount(minlength=count).argsort(descending=True, stable=True).argsort()
        parts[members] = rank[assigned]
    return parts


def save(path: Path | str, parts: Tensor, classes: str) -> None:
    """parts: int64 (N,) of the train images; classes: the JSON list of class names."""
    tensor_files.save(Path(path), {"parts": parts}, {"classes": classes})


def load(path: Path | str, labels: Tensor, num_classes: int) -> tuple[Tensor, tuple[tuple[int, ...], ...]]:
    """What `labels.with_subclasses` makes of images with classes int64 (N,) and the sub-classes of a file.

    Raises UserError if the file is of other images.
    """
    tensors, _ = tensor_files.load(Path(path))
    try:
        return with_subclasses(labels, tensors["parts"], num_classes)
    except (KeyError, ValueError) as error:
        raise UserError(
            f"{path}: not the sub-classes of these {len(labels)} images; delete it and run again"
        ) from error
