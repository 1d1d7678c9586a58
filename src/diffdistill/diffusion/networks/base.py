"""What every network has in common, and the embedding of time."""

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

TIME_FACTOR = 999.0
"""The published U-ViT was trained with times 0..999; ours are 0..1 outside of a network."""
LABEL, AUGMENT = "label_emb.weight", "augment_embed.weight"
"""State-dict keys of the embeddings of label and augmentation, in every network."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What a network is built for besides its model block."""

    image_shape: tuple[int, int, int]
    """(C, H, W)"""
    labels: int | None
    """Number of labels; None: unconditional."""
    augment_dim: int = 0
    """Numbers that describe the augmentation of an image; 0: none."""

    @property
    def side(self) -> int:
        """Height and width. Raises ValueError for images that are not square."""
        _, height, width = self.image_shape
        if height != width:
            raise ValueError(f"images must be square, found {height} x {width}")
        return height


class Network(nn.Module):
    """Maps a noised image, its time and its label to an output like the image.

    The embeddings of label and augmentation have these names in every network, so that start weights of other classes
    fit.
    """

    LABEL_KEYS: ClassVar[tuple[str, ...]] = (LABEL,)
    """State-dict keys that depend on the classes; start weights of other classes give none of them."""

    label_emb: nn.Embedding | None
    augment_embed: nn.Linear | None

    @classmethod
    @abstractmethod
    def from_model(cls, model: Any, sizes: Sizes) -> Self:
        """Build from the network's block of the config. Raises ValueError if block and sizes do not fit."""

    @abstractmethod
    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None, augmentation: Tensor | None = None) -> Tensor:
        """x: (B, C, H, W) in [-1, 1] plus noise; t: (B,) in [0, 1]; y: (B,) int64, None if unconditional -> like x.

        augmentation: (B, augment_dim) in [-1, 1]; None: not augmented, the same as zeros.
        Raises ValueError if shapes do not fit, or if labels are missing or superfluous.
        """

    def compiled_layers(self) -> Sequence[nn.Module]:
        """Modules that are compiled one by one for sampling; by default the network as a whole."""
        return [self]

    def hidden_matrices(self) -> Sequence[nn.Parameter]:
        """Weights (out, in) of linear layers between hidden features, which Muon can step; none by default."""
        return []

    def adapt_start_weights(self, found: dict[str, Tensor], ours: Mapping[str, Tensor]) -> list[str]:
        """Change start weights of an unconditional network in place to fit this one; returns what was newly made."""
        return []

    def check(self, x: Tensor, t: Tensor, y: Tensor | None, image_shape: tuple[int, int, int]) -> None:
        """Raises ValueError as `forward` says.

        Only sizes are compared: a check of values would wait for the device and break a compiled graph.
        """
        if (y is None) != (self.label_emb is None):
            raise ValueError("labels must be given to a class-conditional network, and to no other")
        B = x.shape[0]
        if tuple(x.shape[1:]) != image_shape:
            expected = ", ".join(map(str, image_shape))
            raise ValueError(f"images must be (B, {expected}), found {tuple(x.shape)}")
        for name, value in (("t", t), ("y", y)):
            if value is not None and tuple(value.shape) != (B,):
                raise ValueError(f"{name} must be ({B},) for {B} images, found {tuple(value.shape)}")


def timestep_embedding(timesteps: Tensor, dim: int) -> Tensor:
    """Cosines then sines of the time at dim/2 frequencies from 1 to 1/10000: (B,) -> (B, dim)."""
    half = dim // 2
    # float64 stays float64; half precision would lose the time
    exact = torch.promote_types(timesteps.dtype, torch.float32)
    frequencies = torch.exp(-math.log(10000) * torch.arange(half, dtype=exact, device=timesteps.device) / half)
    angles = timesteps[:, None].to(exact) * frequencies  # (B, dim/2)
    embedding = torch.cat([angles.cos(), angles.sin()], dim=1)
    return F.pad(embedding, (0, dim % 2))
