"""Gradient matching (Zhao and Bilen 2021, arXiv 2102.08259): a step on synthetic images goes where real ones lead."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EPSILON = 1e-6
"""In the denominator of the cosine, as in the published code."""


def layer_distance(real: Tensor, synthetic: Tensor) -> Tensor:
    """The layer-wise distance of arXiv 2006.05929, section 3.2: 1 - cosine for each output of a layer, summed.

    Gradients of one parameter: (out, in), or (out, in, h, w) with the last three joined. Vectors (biases and the scale
    of norms) count nothing, as in the published code.
    """
    if real.ndim < 2:
        return synthetic.new_zeros(())
    a, b = real.flatten(1), synthetic.flatten(1)
    lengths: Tensor = torch.linalg.vector_norm(a, dim=1) * torch.linalg.vector_norm(b, dim=1)
    cosines: Tensor = (a * b).sum(1) / (lengths + EPSILON)
    return (1 - cosines).sum()


def gradient_distance(real: Iterable[Tensor], synthetic: Iterable[Tensor]) -> Tensor:
    """Of arXiv 2102.08259: the layers' distances, summed; both in the order of the parameters."""
    distances = [layer_distance(a, b) for a, b in zip(real, synthetic, strict=True)]
    return torch.stack(distances).sum()


def gradients(network: nn.Module, x: Tensor, label: int, *, differentiable: bool) -> Sequence[Tensor]:
    """Of the cross-entropy of x (B, C, H, W), all of one label, with respect to every parameter."""
    labels = torch.full((len(x),), label, device=x.device)
    loss = F.cross_entropy(network(x), labels)
    return torch.autograd.grad(loss, list(network.parameters()), create_graph=differentiable)


def loss(network: nn.Module, real: Tensor, synthetic: Tensor, classes: Tensor) -> Tensor:
    """The distance of the gradients class by class, summed, with a gradient for `synthetic` alone.

    real: (K, B, C, H, W), synthetic: (K, n, C, H, W), normalised and augmented; classes: (K,) int64, their labels.
    """
    total = synthetic.new_zeros(())
    for a, b, label in zip(real.detach(), synthetic, classes.tolist(), strict=True):
        wanted = [part.detach() for part in gradients(network, a, label, differentiable=False)]
        total = total + gradient_distance(wanted, gradients(network, b, label, differentiable=True))
    return total
