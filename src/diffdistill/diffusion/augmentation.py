"""Non-leaking augmentation: the network is conditioned on how each train image was changed; in sampling, on no change.

Karras et al. 2022 (arXiv 2206.00364), section 5 and appendix F.2, with the primitives of the ConvNet's augmentation.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from diffdistill.data import augment as primitives

NUMBERS = {"flip": 1, "crop": 2, "scale": 2, "rotate": 1}
"""How many numbers say what each family did."""


def dimension(families: Sequence[str]) -> int:
    return sum(NUMBERS[family] for family in families)


def draws(families: Sequence[str]) -> int:
    """Uniform draws an image: whether each family acts, then what it does."""
    return len(families) + dimension(families)


def of_images(x: Tensor, families: Sequence[str], uniform: Tensor, probability: float) -> tuple[Tensor, Tensor]:
    """Each family acts on an image with this probability; returns the images, and (B, dimension) of what was done.

    x: (B, C, H, W) in [-1, 1]; uniform: (B, draws) in [0, 1). What was done is in [-1, 1], and 0 where nothing was.
    """
    x, done, column = x + 1, [], 0  # the primitives move zeros in: make them black
    for family in families:
        acts = uniform[:, column] < probability  # (B,)
        first, column = column + 1, column + 1 + NUMBERS[family]
        changed, numbers = _apply(x, family, uniform[:, first:column])
        x = torch.where(acts[:, None, None, None], changed, x)
        done.append(numbers * acts[:, None])
    return x - 1, torch.cat(done, 1)


def _apply(x: Tensor, family: str, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Changed images, and (B, n) in [-1, 1] that says how; uniform: (B, n)."""
    signed = 2 * uniform - 1
    if family == "flip":
        return x.flip(3), torch.ones_like(uniform)
    if family == "crop":
        most = [max(1, int(side * primitives.CROP + 0.5)) for side in x.shape[2:]]
        shifts = [((2 * m + 1) * u).long() - m for m, u in zip(most, uniform.unbind(1), strict=True)]
        numbers = [shift / m for m, shift in zip(most, shifts, strict=True)]
        return primitives.crop(x, *(shift[:, None, None] for shift in shifts)), torch.stack(numbers, 1)
    if family == "scale":
        low, high = 1 / primitives.SCALE, primitives.SCALE
        factors = primitives.SCALE**signed  # even in their logarithm, so that 0 is the image as it was
        return primitives.scale(x, *((factors - low) / (high - low)).unbind(1)), signed
    if family == "rotate":
        return primitives.rotate(x, uniform[:, 0]), signed
    raise ValueError(f"unknown family '{family}'; known: {', '.join(NUMBERS)}")
