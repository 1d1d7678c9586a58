"""From images to the values that are refined, and from the stored images to the set that is trained on."""

import torch
from torch import Tensor

from diffdistill.data import image_files, selection
from diffdistill.refining import grids
from diffdistill.runtime.seeds import image_noise


def from_images(images: Tensor, labels: Tensor, num_classes: int, per_class: int, factor: int, seed: int) -> Tensor:
    """Stored images float32 (K, per_class, C, H, W) in 0..1, made of random images of each class.

    images: uint8 (N, C, H, W); labels: int64 (N,). Raises UserError if a class has fewer than per_class factor^2.
    """
    count = per_class * factor**2
    chosen = selection.per_class(labels, [count] * num_classes, selection.randomly(seed))
    chosen = chosen[labels[chosen].sort(stable=True).indices]  # class by class
    return grids.tiled(images[chosen].float() / 255, factor).reshape(num_classes, per_class, *images.shape[1:])


def from_noise(num_classes: int, per_class: int, shape: tuple[int, int, int], seed: int) -> Tensor:
    """Standard normal noise float32 (K, per_class, C, H, W); that of an image depends on its place and the seed."""
    noise = image_noise(seed, 0, num_classes * per_class, shape, purpose="refining start")
    return noise.reshape(num_classes, per_class, *shape)


def pixels_from_noise(noise: Tensor) -> Tensor:
    """Noise as images in 0..1: mean 1/2, four standard deviations over the whole range."""
    return (noise / 4 + 0.5).clamp(0, 1)


def train_set(stored: Tensor, factor: int) -> tuple[Tensor, Tensor]:
    """Images uint8 (K n factor^2, C, H, W) and labels int64 of the stored images uint8 (K, n, C, H, W).

    The classes are in turn, so that a prefix is balanced.
    """
    whole = grids.enlarged(image_files.from_bytes(stored.flatten(0, 1)), factor)
    images = image_files.to_bytes(whole).reshape(len(stored), -1, *stored.shape[2:]).transpose(0, 1).flatten(0, 1)
    return images.contiguous(), torch.arange(len(stored)).repeat(len(images) // len(stored))
