"""EMA weights, kept separate from the network."""

import torch
from torch import Tensor, nn


def decay_at(iteration: int, decay: float) -> float:
    """Decay of iteration 0, 1, …: min(decay, (1 + k) / (10 + k)), so that a short run forgets its first weights."""
    return min(decay, (1 + iteration) / (10 + iteration))


@torch.no_grad()
def update(ema: dict[str, Tensor], network: nn.Module, decay: float) -> None:
    """ema <- decay * ema + (1 - decay) * weights, in place."""
    weights = network.state_dict()
    torch._foreach_lerp_([ema[name] for name in weights], list(weights.values()), 1 - decay)
