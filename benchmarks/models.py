"""The denoisers whose speed is measured."""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from diffdistill.config import ModelBlock, UNetModel, UViTModel
from diffdistill.diffusion.denoiser import NetworkDenoiser
from diffdistill.diffusion.labels import LabelSpace
from diffdistill.diffusion.networks.uvit import Attention
from diffdistill.diffusion.training import State, initialise


@dataclass(frozen=True)
class Case:
    """A network and the images that it is for."""

    model: ModelBlock
    image_shape: tuple[int, int, int]
    num_classes: int

    def build(self) -> NetworkDenoiser:
        """With the first weights of seed 0."""
        labels = LabelSpace(num_classes=self.num_classes)
        return initialise(lambda: NetworkDenoiser(self.model, labels=labels, image_shape=self.image_shape), 0)

    def data(self, count: int) -> tuple[Tensor, Tensor]:
        """Noise in place of images, float32 (count, C, H, W), and labels int64 (count,)."""
        random = torch.Generator().manual_seed(0)
        return torch.randn(count, *self.image_shape, generator=random), torch.arange(count) % self.num_classes


DIGITS = Case(UViTModel(patch_size=2, embed_dim=128, depth=4, num_heads=4), (1, 8, 8), 10)
UVIT_S = Case(UViTModel(patch_size=2, embed_dim=512, depth=12, num_heads=8), (3, 32, 32), 100)
UNET = Case(UNetModel(kind="unet", channels=128, multipliers=(1, 2, 2, 2)), (3, 32, 32), 100)
TINY_UVIT = Case(UViTModel(patch_size=2, embed_dim=16, depth=2, num_heads=2), (3, 8, 8), 10)
TINY_UNET = Case(UNetModel(kind="unet", channels=8, multipliers=(1, 2), blocks=1, num_heads=2), (3, 8, 8), 10)


class FusedAttention(nn.Module):
    """Attention of the U-ViT as published: always torch's fused kernel, however few tokens there are."""

    def __init__(self, attention: Attention) -> None:
        super().__init__()
        self.num_heads, self.qkv, self.proj = attention.num_heads, attention.qkv, attention.proj

    def forward(self, x: Tensor) -> Tensor:
        B, L, D = x.shape
        qkv = self.qkv(x).reshape(B, L, 3, self.num_heads, D // self.num_heads).permute(2, 0, 3, 1, 4)
        h = F.scaled_dot_product_attention(*qkv.unbind(0))  # (B, heads, L, D / heads)
        return self.proj(h.transpose(1, 2).reshape(B, L, D))  # type: ignore[no-any-return]


def as_published(denoiser: NetworkDenoiser) -> NetworkDenoiser:
    """A copy whose attention is computed as in the published code; of a U-Net, an equal copy."""
    copied = copy.deepcopy(denoiser)
    for module in list(copied.network.modules()):
        attention = getattr(module, "attn", None)
        if isinstance(attention, Attention):
            module.attn = FusedAttention(attention)
    return copied


def averaged(state: State) -> NetworkDenoiser:
    """A copy of a training's denoiser with the weights of its primary EMA, ready to sample."""
    denoiser = copy.deepcopy(state.denoiser)
    denoiser.network.load_state_dict(state.emas[0])
    return denoiser.eval()
