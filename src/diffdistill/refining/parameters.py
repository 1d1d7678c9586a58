"""What is optimised: the pixels of the stored images, or the noise that a generator maps to them."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from diffdistill.data import image_files
from diffdistill.refining import grids

Decode = Callable[[Tensor, Tensor, int], Tensor]
"""(noise (B, C, H, W), labels int64 (B,), first) -> images first, first+1, … like the noise in [-1, 1], with a gradient
for the noise."""


class Parametrisation(Protocol):
    """values: float32 (K, n, C, H, W), class by class."""

    def images(self, values: Tensor, classes: slice) -> Tensor:
        """The images to train on of some classes: float32 (k, m, C, H, W) in 0..1, with a gradient for the values."""
        ...

    def project(self, values: Tensor) -> None:
        """Bring values that left their range back, in place."""
        ...

    def stored(self, values: Tensor) -> Tensor:
        """What is kept on disk: uint8 (K, n, C, H, W)."""
        ...


class Pixels:
    """values: the stored images in 0..1, each a grid of factor^2 images."""

    def __init__(self, factor: int = 1) -> None:
        self.factor = factor

    def images(self, values: Tensor, classes: slice) -> Tensor:
        part = values[classes]
        return grids.enlarged(part.flatten(0, 1), self.factor).reshape(len(part), -1, *part.shape[2:])

    def project(self, values: Tensor) -> None:
        values.clamp_(0, 1)

    def stored(self, values: Tensor) -> Tensor:
        return (values.detach() * 255).round().to(torch.uint8)


class Latent:
    """values: the noise that `decode` maps to images (GLaD, Cazenavette et al. 2023, arXiv 2305.01649).

    The images stay among those that the generator makes; GLaD's latents are a GAN's, these are a diffusion model's.
    """

    def __init__(self, decode: Decode) -> None:
        self.decode = decode

    def images(self, values: Tensor, classes: slice) -> Tensor:
        part = values[classes]
        numbers = torch.arange(len(values), device=values.device)[classes]
        labels = numbers.repeat_interleave(values.shape[1])
        made = self.decode(part.flatten(0, 1), labels, int(numbers[0]) * values.shape[1])
        return ((made + 1) / 2).clamp(0, 1).reshape(part.shape)

    def project(self, values: Tensor) -> None:
        """Noise has no bounds."""

    @torch.no_grad()
    def stored(self, values: Tensor) -> Tensor:
        parts = [self.images(values, slice(label, label + 1)) for label in range(len(values))]
        return image_files.to_bytes(torch.cat(parts) * 2 - 1)
