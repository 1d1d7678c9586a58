"""A convolutional U-Net: residual blocks conditioned by scale and shift, attention at the lowest resolution.

Ho et al. 2020 (arXiv 2006.11239), appendix B, with the conditioning of Dhariwal and Nichol 2021 (arXiv 2105.05233),
section 3: adaptive group normalisation.
"""

import itertools
import math
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from diffdistill.config import UNetModel
from diffdistill.diffusion.networks.attention import attention
from diffdistill.diffusion.networks.base import TIME_FACTOR, Network, Sizes, timestep_embedding


def group_norm(channels: int) -> nn.GroupNorm:
    """Group normalisation with groups of at least four channels, at most 32 groups."""
    return nn.GroupNorm(math.gcd(channels, min(32, max(1, channels // 4))), channels)


def zero(module: nn.Conv2d) -> nn.Conv2d:
    """The convolution with weights and biases of 0, so that its branch adds nothing at first."""
    nn.init.zeros_(module.weight)
    if module.bias is not None:
        nn.init.zeros_(module.bias)
    return module


class Attention(nn.Module):
    """Self-attention between all positions, beside a shortcut."""

    def __init__(self, channels: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm = group_norm(channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.proj = zero(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C, H, W) -> the same."""
        B, C, H, W = x.shape
        qkv = self.qkv(self.norm(x)).reshape(B, 3, self.num_heads, C // self.num_heads, H * W)
        query, key, value = qkv.transpose(3, 4).contiguous().unbind(1)  # each (B, heads, L, C / heads)
        h = attention(query, key, value)
        return x + self.proj(h.transpose(2, 3).reshape(B, C, H, W))  # type: ignore[no-any-return]


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut; the condition scales and shifts between them. Then attention, if wanted."""

    def __init__(self, in_channels: int, channels: int, condition_dim: int, num_heads: int | None) -> None:
        """num_heads: of the attention; None: no attention."""
        super().__init__()
        self.norm1 = group_norm(in_channels)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.condition = nn.Linear(condition_dim, 2 * channels)
        self.norm2 = group_norm(channels)
        self.conv2 = zero(nn.Conv2d(channels, channels, 3, padding=1))
        self.shortcut = nn.Conv2d(in_channels, channels, 1) if in_channels != channels else nn.Identity()
        self.attention = nn.Identity() if num_heads is None else Attention(channels, num_heads)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """x: (B, C_in, H, W); condition: (B, condition_dim) -> (B, C, H, W)."""
        h = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.condition(condition)[:, :, None, None].chunk(2, dim=1)  # each (B, C, 1, 1)
        h = self.conv2(F.silu(self.norm2(h) * (1 + scale) + shift))
        return self.attention(self.shortcut(x) + h)  # type: ignore[no-any-return]


class UNet(Network):
    """Raises ValueError if images are too small for so many levels.

    A side that is odd is rounded up on the way down; on the way up each level takes the size of its skip connections.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        channels: int,
        multipliers: tuple[int, ...],
        blocks: int,
        num_heads: int,
        num_classes: int | None = None,
        augment_dim: int = 0,
        patch_size: int = 1,
    ) -> None:
        super().__init__()
        if image_shape[2] != image_shape[1]:
            raise ValueError(f"images must be square, found {image_shape[1]} x {image_shape[2]}")
        if image_shape[1] % patch_size:
            raise ValueError(f"images of {image_shape[1]} pixels are not divided by patch_size {patch_size}")
        side = image_shape[1] // patch_size
        if side < 2 ** (len(multipliers) - 1):
            unit = "pixels" if patch_size == 1 else "patches"
            raise ValueError(
                f"images of {side} {unit} cannot be halved {len(multipliers) - 1} times; give fewer multipliers than "
                f"{len(multipliers)}"
            )
        widths = [channels * multiplier for multiplier in multipliers]
        if widths[-1] % num_heads:
            raise ValueError(f"{widths[-1]} channels are not a multiple of num_heads {num_heads}")
        self.image_shape, self.time_dim, condition_dim = image_shape, channels, 4 * channels
        self.levels, self.blocks, self.patch_size = len(widths), blocks, patch_size
        patch_dim = image_shape[0] * patch_size**2
        self.time_embed = nn.Sequential(
            nn.Linear(channels, condition_dim), nn.SiLU(), nn.Linear(condition_dim, condition_dim)
        )
        self.label_emb = nn.Embedding(num_classes, condition_dim) if num_classes else None
        self.augment_embed = nn.Linear(augment_dim, condition_dim, bias=False) if augment_dim else None
        heads = [*[None] * (len(widths) - 1), num_heads]  # attention at the lowest level
        befores = [channels, *widths[:-1]]
        self.in_conv = nn.Conv2d(patch_dim, channels, 3, padding=1)
        self.down = nn.ModuleList(
            ResidualBlock(given, width, condition_dim, attention)
            for before, width, attention in zip(befores, widths, heads, strict=True)
            for given in [before] + [width] * (blocks - 1)
        )
        self.downsample = nn.ModuleList(nn.Conv2d(width, width, 3, stride=2, padding=1) for width in widths[:-1])
        self.mid = nn.ModuleList(ResidualBlock(widths[-1], widths[-1], condition_dim, num_heads) for _ in range(2))
        self.upsample = nn.ModuleList(
            nn.Conv2d(lower, width, 3, padding=1) for width, lower in itertools.pairwise(widths)
        )
        self.up = nn.ModuleList(
            ResidualBlock(2 * width, width, condition_dim, attention)
            for width, attention in zip(widths, heads, strict=True)
            for _ in range(blocks)
        )
        self.out_norm = group_norm(widths[0])
        self.out_conv = zero(nn.Conv2d(widths[0], patch_dim, 3, padding=1))

    @classmethod
    def from_model(cls, model: UNetModel, sizes: Sizes) -> Self:
        """Build from the block of the config. Raises ValueError if block and sizes do not fit."""
        return cls(
            sizes.image_shape, model.channels, model.multipliers, model.blocks, model.num_heads, sizes.labels,
            sizes.augment_dim, model.patch_size,
        )  # fmt: skip

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None, augmentation: Tensor | None = None) -> Tensor:
        """See `Network.forward`."""
        self.check(x, t, y, self.image_shape)
        condition = self._condition(x, t, y, augmentation)  # (B, condition_dim)
        h, skips = self.in_conv(F.pixel_unshuffle(x, self.patch_size)), []
        for level in range(self.levels):
            for block in self.down[level * self.blocks : (level + 1) * self.blocks]:
                h = block(h, condition)
                skips.append(h)
            if level + 1 < self.levels:
                h = self.downsample[level](h)
        for block in self.mid:
            h = block(h, condition)
        for level in reversed(range(self.levels)):
            if level + 1 < self.levels:
                h = self.upsample[level](F.interpolate(h, size=skips[-1].shape[2:], mode="nearest"))
            for block in self.up[level * self.blocks : (level + 1) * self.blocks]:
                h = block(torch.cat([h, skips.pop()], dim=1), condition)
        return F.pixel_shuffle(self.out_conv(F.silu(self.out_norm(h))), self.patch_size)

    def _condition(self, x: Tensor, t: Tensor, y: Tensor | None, augmentation: Tensor | None) -> Tensor:
        """Time, label and augmentation as one vector per image: (B, condition_dim)."""
        condition = self.time_embed(timestep_embedding(t * TIME_FACTOR, self.time_dim).to(x.dtype))
        if self.label_emb is not None:
            condition = condition + self.label_emb(y)
        if self.augment_embed is not None and augmentation is not None:
            condition = condition + self.augment_embed(augmentation.to(condition.dtype))
        return F.silu(condition)
