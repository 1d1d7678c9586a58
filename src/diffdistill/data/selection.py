"""Which of the drawn images make up the distilled set."""

import torch
from torch import Tensor

from diffdistill.errors import UserError
from diffdistill.runtime.seeds import generator


def every(labels: Tensor) -> Tensor:
    """Indices (N,) int64 of all images."""
    return torch.arange(len(labels))


def at_random(labels: Tensor, images: int, seed: int) -> Tensor:
    """Sorted indices (images,) int64 drawn without replacement, as equal in number per class as `images` allows.

    Raises UserError if a class has too few images.
    """
    classes = int(labels.max()) + 1
    kept = []
    for label in range(classes):
        members = (labels == label).nonzero().flatten()
        count = images // classes + (label < images % classes)
        if count > len(members):
            raise UserError(f"select.images: class {label} has {len(members)} images, {count} are asked for; lower it")
        kept.append(members[torch.randperm(len(members), generator=generator("select", seed, label))[:count]])
    return torch.cat(kept).sort().values
