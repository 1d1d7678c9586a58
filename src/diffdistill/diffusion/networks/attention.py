"""Attention, computed as is fastest for so many tokens."""

import torch
from torch import Tensor
from torch.nn import functional as F

FEW_TOKENS = 64
"""Below it a CPU multiplies whole matrices as fast as the fused kernel's blocks, or faster."""
TOKENS_WITH_GRADIENTS = 512
"""Up to it a CPU multiplies whole matrices to train in bfloat16: the fused kernel's gradients take two to six times as
long. For more tokens the matrices take too much memory."""


def attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """softmax(query key^T / sqrt(d)) value, each (B, heads, L, d).

    torch takes its fused kernel only if the last dimension is contiguous.
    """
    tokens = query.shape[2]
    slow_gradients = query.requires_grad and query.dtype == torch.bfloat16
    few = tokens <= TOKENS_WITH_GRADIENTS if slow_gradients else tokens < FEW_TOKENS
    if query.device.type == "cpu" and few:
        weights = torch.softmax(query * query.shape[3] ** -0.5 @ key.transpose(2, 3), dim=3)  # (B, heads, L, L)
        return weights @ value
    return F.scaled_dot_product_attention(query, key, value)
