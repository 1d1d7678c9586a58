"""Which images a training step takes."""

import functools

import torch
from torch import Tensor

from diffdistill.runtime.seeds import generator


def batch_indices(images: int, batch_size: int, iteration: int, seed: int) -> Tensor:
    """Indices (batch_size,) int64 of the global batch of an iteration: epoch after epoch, each a new permutation.

    A batch that crosses the end of an epoch takes its rest from the next one, so every epoch covers every image once.
    """
    first = iteration * batch_size
    parts = []
    while batch_size > 0:
        epoch, start = divmod(first, images)
        parts.append(_order(images, seed, epoch)[start : start + batch_size])
        first += len(parts[-1])
        batch_size -= len(parts[-1])
    return torch.cat(parts)


@functools.lru_cache(maxsize=2)  # a batch may cross from one epoch into the next
def _order(images: int, seed: int, epoch: int) -> Tensor:
    return torch.randperm(images, generator=generator("order", seed, epoch))
