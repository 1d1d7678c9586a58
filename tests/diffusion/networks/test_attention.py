"""Attention has one result, whichever way is fastest, and the U-Net's takes the fused kernel."""

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from diffdistill.diffusion.networks import attention
from diffdistill.diffusion.networks.unet import Attention


def test_few_and_many_tokens_take_the_same_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    query, key, value = torch.randn(3, 2, 4, 18, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    few = attention.attention(query, key, value)
    monkeypatch.setattr(attention, "FEW_TOKENS", 0)
    torch.testing.assert_close(attention.attention(query, key, value), few)


def test_many_positions_of_a_unet_take_the_fused_kernel() -> None:
    """Of matrices that are not contiguous torch writes all weights, in ten times the time at 16 x 16 positions."""
    layer, x = Attention(64, 4).eval(), torch.zeros(2, 64, 16, 16)
    with torch.inference_mode(), profile(activities=[ProfilerActivity.CPU]) as found:
        layer(x)
    names = {event.key for event in found.key_averages()}
    assert any("flash_attention" in name for name in names), names
    assert "aten::_softmax" not in names
