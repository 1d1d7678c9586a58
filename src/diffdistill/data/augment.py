"""The differentiable Siamese augmentation (Zhao and Bilen 2021, arXiv 2102.08259), on whole batches.

A function per primitive, its random draws passed in; x: (B, C, H, W), uniform draws in [0, 1).
"""

import torch
from torch import Tensor
from torch.nn import functional as F

BRIGHTNESS, SATURATION, CONTRAST = 1.0, 2.0, 0.5
SCALE, DEGREES = 1.2, 15.0
CROP, CUTOUT = 0.125, 0.5
FLIP = 0.5


def brightness(x: Tensor, draw: Tensor) -> Tensor:
    """draw: (B, 1, 1, 1)"""
    return x + (draw - 0.5) * BRIGHTNESS


def saturation(x: Tensor, draw: Tensor) -> Tensor:
    """draw: (B, 1, 1, 1)"""
    mean = x.mean(dim=1, keepdim=True)
    return (x - mean) * (draw * SATURATION) + mean


def contrast(x: Tensor, draw: Tensor) -> Tensor:
    """draw: (B, 1, 1, 1)"""
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    return (x - mean) * (draw + CONTRAST) + mean


def flip(x: Tensor, draw: Tensor) -> Tensor:
    """Left to right where draw (B, 1, 1, 1) is below one half."""
    return torch.where(draw < FLIP, x.flip(3), x)


def _warp(x: Tensor, matrix: Tensor) -> Tensor:
    return F.grid_sample(x, F.affine_grid(matrix, list(x.shape), align_corners=True), align_corners=True)


def scale(x: Tensor, draw_x: Tensor, draw_y: Tensor) -> Tensor:
    """Each axis by 1/1.2 to 1.2; draws: (B,)"""
    factors = [draw * (SCALE - 1 / SCALE) + 1 / SCALE for draw in (draw_x, draw_y)]
    zero = torch.zeros_like(draw_x)
    rows = [torch.stack([factors[0], zero, zero], 1), torch.stack([zero, factors[1], zero], 1)]
    return _warp(x, torch.stack(rows, 1))  # (B, 2, 3)


def rotate(x: Tensor, draw: Tensor) -> Tensor:
    """By -15 to 15 degrees; draw: (B,)"""
    angle = (draw - 0.5) * 2 * DEGREES / 180 * torch.pi
    zero = torch.zeros_like(angle)
    rows = [torch.stack([angle.cos(), -angle.sin(), zero], 1), torch.stack([angle.sin(), angle.cos(), zero], 1)]
    return _warp(x, torch.stack(rows, 1))  # (B, 2, 3)


def _grid(x: Tensor, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    ranges = (torch.arange(len(x)), torch.arange(height), torch.arange(width))
    batch, rows, columns = torch.meshgrid(*(part.to(x.device) for part in ranges), indexing="ij")
    return batch, rows, columns


def crop(x: Tensor, shift_rows: Tensor, shift_columns: Tensor) -> Tensor:
    """Shift by whole pixels, zeros moving in; shifts: (B, 1, 1) int64 up to an eighth of the side either way."""
    batch, rows, columns = _grid(x, x.shape[2], x.shape[3])
    rows = (rows + shift_rows + 1).clamp(0, x.shape[2] + 1)
    columns = (columns + shift_columns + 1).clamp(0, x.shape[3] + 1)
    padded = F.pad(x, [1, 1, 1, 1])
    return padded.permute(0, 2, 3, 1)[batch, rows, columns].permute(0, 3, 1, 2)


def cutout(x: Tensor, centre_rows: Tensor, centre_columns: Tensor) -> Tensor:
    """A square of half the side set to zero; centres: (B, 1, 1) int64."""
    height, width = int(x.shape[2] * CUTOUT + 0.5), int(x.shape[3] * CUTOUT + 0.5)
    batch, rows, columns = _grid(x, height, width)
    rows = (rows + centre_rows - height // 2).clamp(0, x.shape[2] - 1)
    columns = (columns + centre_columns - width // 2).clamp(0, x.shape[3] - 1)
    mask = torch.ones(len(x), x.shape[2], x.shape[3], dtype=x.dtype, device=x.device)
    mask[batch, rows, columns] = 0
    return x * mask[:, None]


FAMILIES = ("color", "crop", "cutout", "flip", "scale", "rotate")


def apply_family(x: Tensor, family: str, generator: torch.Generator, *, siamese: bool = False) -> Tensor:
    """Draw for one family and apply it; siamese: one draw for all images. Raises ValueError for an unknown one."""
    B, _, H, W = x.shape
    draws = 1 if siamese else B

    def uniform(*axes: int) -> Tensor:
        return torch.rand((draws, *axes), generator=generator).to(x.device).expand(B, *axes)

    def whole(low: int, high: int) -> Tensor:
        return torch.randint(low, high, (draws, 1, 1), generator=generator).to(x.device).expand(B, 1, 1)

    if family == "color":
        for primitive in (brightness, saturation, contrast):
            x = primitive(x, uniform(1, 1, 1))
        return x
    if family == "flip":
        return flip(x, uniform(1, 1, 1))
    if family == "scale":
        return scale(x, uniform(), uniform())
    if family == "rotate":
        return rotate(x, uniform())
    if family == "crop":
        rows, columns = int(H * CROP + 0.5), int(W * CROP + 0.5)
        return crop(x, whole(-rows, rows + 1), whole(-columns, columns + 1))
    if family == "cutout":
        rows, columns = int(H * CUTOUT + 0.5), int(W * CUTOUT + 0.5)
        return cutout(x, whole(0, H + (1 - rows % 2)), whole(0, W + (1 - columns % 2)))
    raise ValueError(f"unknown augmentation '{family}'; known: {', '.join(FAMILIES)}")


def augment(
    x: Tensor, strategy: str, generator: torch.Generator, *, mode: str = "one", siamese: bool = False
) -> Tensor:
    """One family of the strategy, drawn for the whole batch (the challenge's way), or with mode `each` all in turn.

    strategy: families joined by underscores, "" for none. x: normalised images (B, C, H, W). siamese: every image gets
    the same transform, which depends on the generator's state and not on B: two batches of different sizes are
    transformed alike with generators in one state, as matching real and synthetic images requires.
    """
    families = [family for family in strategy.split("_") if family]
    if mode == "one" and families:
        families = [families[int(torch.randint(len(families), (1,), generator=generator))]]
    for family in families:
        x = apply_family(x, family, generator, siamese=siamese)
    return x
