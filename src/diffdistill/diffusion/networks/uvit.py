"""U-ViT: a vision transformer whose first and second half are joined by long skip connections.

Bao et al. 2023, "All are Worth Words" (arXiv 2209.12152). State-dict keys are those of the published weights. With
conditioning `added` or `adaptive` there are further ones, which start at 0: the network begins as the published one.
"""

from collections.abc import Mapping
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from diffdistill.config import UViTModel
from diffdistill.diffusion.networks.attention import attention
from diffdistill.diffusion.networks.base import LABEL, TIME_FACTOR, Network, Sizes, timestep_embedding

POSITION = "pos_embed"


class PatchEmbed(nn.Module):
    """(B, C, H, W) -> (B, L, D): one token a patch, row by row. The same as timm.layers.PatchEmbed.

    It and Mlp are written out because the import of timm takes longer than that of torch, in every stage.
    """

    def __init__(self, patch_size: int, in_chans: int, embed_dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_chans, embed_dim, patch_size, stride=patch_size)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x).flatten(2).transpose(1, 2)  # type: ignore[no-any-return]


class Mlp(nn.Module):
    """Two linear layers with GELU between them, over (B, L, D). The same as timm.layers.Mlp."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))  # type: ignore[no-any-return]


class Attention(nn.Module):
    """Multi-head self-attention over (B, L, D); one matrix makes query, key and value."""

    def __init__(self, dim: int, num_heads: int, qkv_bias: bool) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        B, L, D = x.shape
        query, key, value = (
            self.qkv(x).reshape(B, L, 3, self.num_heads, D // self.num_heads).permute(2, 0, 3, 1, 4)
        )  # each (B, heads, L, D / heads)
        x = attention(query, key, value)  # (B, heads, L, D / heads)
        return self.proj(x.transpose(1, 2).reshape(B, L, D))  # type: ignore[no-any-return]


class Block(nn.Module):
    """One transformer layer; in the second half it first merges the skip connection.

    adaptive: the condition scales and shifts what enters attention and MLP, and scales what they add (Peebles and Xie
    2023, arXiv 2212.09748, adaLN-Zero, with gates around 1 in place of 0).
    """

    def __init__(
        self, dim: int, num_heads: int, mlp_ratio: float, qkv_bias: bool, skip: bool, adaptive: bool = False
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = Attention(dim, num_heads, qkv_bias)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, int(dim * mlp_ratio))
        self.skip_linear = nn.Linear(2 * dim, dim) if skip else None
        self.modulation = nn.Linear(dim, 6 * dim) if adaptive else None

    def forward(self, x: Tensor, skip: Tensor | None = None, condition: Tensor | None = None) -> Tensor:
        """x: (B, L, D); condition: (B, D), for adaptive blocks -> like x."""
        if self.skip_linear is not None:
            assert skip is not None
            x = self.skip_linear(torch.cat([x, skip], dim=-1))
        if self.modulation is None:
            x = x + self.attn(self.norm1(x))
            return x + self.mlp(self.norm2(x))  # type: ignore[no-any-return]
        assert condition is not None
        modulation = self.modulation(F.silu(condition))[:, None]  # (B, 1, 6 D)
        scale1, shift1, gate1, scale2, shift2, gate2 = modulation.chunk(6, dim=2)
        x = x + (1 + gate1) * self.attn((1 + scale1) * self.norm1(x) + shift1)
        return x + (1 + gate2) * self.mlp((1 + scale2) * self.norm2(x) + shift2)  # type: ignore[no-any-return]


class UViT(Network):
    """Patches, the time and the label are tokens. Raises ValueError if sizes do not fit."""

    LABEL_KEYS = (LABEL, "label_added.weight")

    def __init__(
        self,
        img_size: int,
        patch_size: int,
        in_chans: int,
        embed_dim: int,
        depth: int,
        num_heads: int,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = False,
        num_classes: int | None = None,
        mlp_time_embed: bool = False,
        augment_dim: int = 0,
        conditioning: str = "tokens",
    ) -> None:
        super().__init__()
        if img_size % patch_size:
            raise ValueError(f"img_size {img_size} is not a multiple of patch_size {patch_size}")
        if embed_dim % num_heads:
            raise ValueError(f"embed_dim {embed_dim} is not a multiple of num_heads {num_heads}")
        if depth % 2:
            raise ValueError(f"depth {depth} is odd; long skip connections join two equal halves")
        self.in_chans, self.patch_size, self.embed_dim = in_chans, patch_size, embed_dim
        self.patch_embed = PatchEmbed(patch_size, in_chans, embed_dim)
        self.time_embed = (
            nn.Sequential(nn.Linear(embed_dim, 4 * embed_dim), nn.SiLU(), nn.Linear(4 * embed_dim, embed_dim))
            if mlp_time_embed
            else nn.Identity()
        )
        self.label_emb = nn.Embedding(num_classes, embed_dim) if num_classes else None
        self.augment_embed = nn.Linear(augment_dim, embed_dim, bias=False) if augment_dim else None
        self.extras = 2 if num_classes else 1
        self.side = img_size // patch_size
        self.pos_embed = nn.Parameter(torch.zeros(1, self.extras + self.side**2, embed_dim))

        self.label_added = nn.Embedding(num_classes, embed_dim) if num_classes and conditioning == "added" else None
        adaptive = conditioning == "adaptive"

        def blocks(count: int, skip: bool) -> list[Block]:
            return [Block(embed_dim, num_heads, mlp_ratio, qkv_bias, skip, adaptive) for _ in range(count)]

        self.in_blocks = nn.ModuleList(blocks(depth // 2, skip=False))
        self.mid_block = blocks(1, skip=False)[0]
        self.out_blocks = nn.ModuleList(blocks(depth // 2, skip=True))
        self.norm = nn.LayerNorm(embed_dim)
        self.decoder_pred = nn.Linear(embed_dim, patch_size**2 * in_chans)
        self.final_layer = nn.Conv2d(in_chans, in_chans, 3, padding=1)
        nn.init.normal_(self.pos_embed, std=0.02)
        self.apply(_initialise)
        for block in self.compiled_layers():
            if block.modulation is not None:
                nn.init.zeros_(block.modulation.weight)
        if self.label_added is not None:
            nn.init.zeros_(self.label_added.weight)

    @classmethod
    def from_model(cls, model: UViTModel, sizes: Sizes) -> Self:
        """Build from the block of the config. Raises ValueError if block and sizes do not fit."""
        return cls(
            sizes.side, model.patch_size, sizes.image_shape[0], model.embed_dim, model.depth, model.num_heads,
            model.mlp_ratio, num_classes=sizes.labels, augment_dim=sizes.augment_dim, conditioning=model.conditioning,
        )  # fmt: skip

    def compiled_layers(self) -> list[Block]:
        """The blocks: all of a kind share one compilation, whatever the depth."""
        return [block for block in self.modules() if isinstance(block, Block)]

    def hidden_matrices(self) -> list[nn.Parameter]:
        """The matrices of the blocks, without those of the condition."""
        return [
            parameter
            for block in self.compiled_layers()
            for name, parameter in block.named_parameters()
            if parameter.ndim == 2 and not name.startswith("modulation")
        ]

    def adapt_start_weights(self, found: dict[str, Tensor], ours: Mapping[str, Tensor]) -> list[str]:
        """Add the position of the label's token, which stands before that of the time."""
        time_and_image = found.get(POSITION)
        if LABEL not in ours or LABEL in found or time_and_image is None:
            return []
        if time_and_image.shape != ours[POSITION][:, 1:].shape:
            return []
        found[POSITION] = torch.cat([ours[POSITION][:, :1], time_and_image], dim=1)
        return [f"{POSITION}[:, 0]"]

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None, augmentation: Tensor | None = None) -> Tensor:
        """See `Network.forward`."""
        size = self.side * self.patch_size
        self.check(x, t, y, (self.in_chans, size, size))
        patches = self.patch_embed(x)  # (B, L, D)
        embedding = timestep_embedding(t * TIME_FACTOR, self.embed_dim).to(patches.dtype)
        time = self.time_embed(embedding)  # (B, D)
        if self.augment_embed is not None and augmentation is not None:
            time = time + self.augment_embed(augmentation.to(time.dtype))
        condition = time
        if self.label_added is not None:
            patches = patches + self.label_added(y)[:, None]
        tokens = [time[:, None], patches]
        if self.label_emb is not None:
            label = self.label_emb(y)
            tokens.insert(0, label[:, None])
            condition = time + label
        h = torch.cat(tokens, dim=1) + self.pos_embed  # (B, extras + L, D)
        skips = []
        for block in self.in_blocks:
            h = block(h, None, condition)
            skips.append(h)
        h = self.mid_block(h, None, condition)
        for block in self.out_blocks:
            h = block(h, skips.pop(), condition)
        h = self.decoder_pred(self.norm(h))[:, self.extras :]  # (B, L, p * p * C)
        p, C = self.patch_size, self.in_chans
        h = h.reshape(-1, self.side, self.side, p, p, C).permute(0, 5, 1, 3, 2, 4)  # (B, C, rows, p, columns, p)
        return self.final_layer(h.reshape(-1, C, self.side * p, self.side * p))  # type: ignore[no-any-return]


def _initialise(module: nn.Module) -> None:
    """Normal weights, zero biases; the published cut at 100 standard deviations never acts."""
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
