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


@pytest.mark.parametrize("tokens", [20, 100, 600])
def test_gradients_in_bfloat16_are_those_of_float64(tokens: int) -> None:
    exact = torch.randn(3, 2, 4, tokens, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    given = exact.bfloat16().requires_grad_()
    exact = given.detach().double().requires_grad_()
    for x in (given, exact):
        attention.attention(*x.unbind(0)).square().sum().backward()  # type: ignore[no-untyped-call]
    assert given.grad is not None and exact.grad is not None
    error = (given.grad - exact.grad).norm() / exact.grad.norm()
    assert error < 0.02  # bfloat16 has eight bits


def fused(tokens: int, dtype: torch.dtype, gradients: bool) -> bool:
    """Whether attention between so many tokens takes torch's fused kernel."""
    query, key, value = torch.zeros(3, 1, 1, tokens, 8, dtype=dtype, requires_grad=gradients).unbind(0)
    with profile(activities=[ProfilerActivity.CPU]) as found:
        attention.attention(query, key, value)
    return any("scaled_dot_product" in event.key for event in found.key_averages())


def test_training_in_bfloat16_takes_whole_matrices_until_they_are_large() -> None:
    """The gradients of the fused kernel in bfloat16 are slow on a CPU: benchmarks/RESULTS.md."""
    for tokens, dtype, gradients, expected in (
        (63, torch.float32, True, False),
        (64, torch.float32, True, True),
        (64, torch.bfloat16, False, True),
        (257, torch.bfloat16, True, False),
        (512, torch.bfloat16, True, False),
        (513, torch.bfloat16, True, True),
    ):
        assert fused(tokens, dtype, gradients) == expected, (tokens, dtype, gradients)


def test_many_positions_of_a_unet_take_the_fused_kernel() -> None:
    """Of matrices that are not contiguous torch writes all weights, in ten times the time at 16 x 16 positions."""
    layer, x = Attention(64, 4).eval(), torch.zeros(2, 64, 16, 16)
    with torch.inference_mode(), profile(activities=[ProfilerActivity.CPU]) as found:
        layer(x)
    names = {event.key for event in found.key_averages()}
    assert any("flash_attention" in name for name in names), names
    assert "aten::_softmax" not in names
