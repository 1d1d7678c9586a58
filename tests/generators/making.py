"""A tiny pipeline of diffusers, with random weights."""

from pathlib import Path

import pytest
import torch


def save_dit(folder: Path) -> Path:
    """A class-conditional one for images of 8x8; skips where diffusers is not installed."""
    diffusers = pytest.importorskip("diffusers", reason="diffusers is an optional extra")
    torch.manual_seed(0)
    network = diffusers.DiTTransformer2DModel(
        num_attention_heads=2, attention_head_dim=4, in_channels=4, out_channels=8, num_layers=1, norm_num_groups=2,
        sample_size=4, patch_size=2, num_embeds_ada_norm=1000,
    )  # fmt: skip
    vae = diffusers.AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(4, 8), norm_num_groups=2, latent_channels=4, sample_size=8,
    )  # fmt: skip
    labels = {0: "wasp", 1: "Ant, pismire", 2: "bee"}
    made = diffusers.DiTPipeline(network, vae, diffusers.DDIMScheduler(), id2label=labels)
    made.save_pretrained(folder)
    return folder
