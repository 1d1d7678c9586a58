"""Maximum mean discrepancy (Zhang et al. 2024, arXiv 2312.15927): equal distributions in the features of a network."""

import torch
from torch import Tensor

from diffdistill.classify.convnet import ConvNet
from diffdistill.refining.distribution_matching import features_by_class

BANDWIDTHS = (0.25, 1.0, 4.0)
"""Of the Gaussian kernels, as multiples of the mean squared distance between a class's real images."""


EQUAL = 1e-5
"""Of the features' mean square: real images no further apart are one image, which rounding alone tells apart."""


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """Between all pairs of a (K, N, F) and b (K, M, F) of the same class: (K, N, M)."""
    lengths = a.square().sum(2)[:, :, None] + b.square().sum(2)[:, None]
    return (lengths - 2 * a @ b.transpose(1, 2)).clamp_min(0)  # rounding would take equal ones below 0


def discrepancy(real: Tensor, synthetic: Tensor) -> Tensor:
    """Squared MMD of each class, summed: mean k(r, r') - 2 mean k(r, s) + mean k(s, s'), as in section 3.2.

    real: features (K, B, F); synthetic: features (K, n, F). k is a sum of Gaussian kernels exp(-d^2 / (c m)), where m
    is the mean squared distance between the real images of the class, so that no scale of features has to be known.
    If these are all one image, m is that between it and the synthetic ones, as a constant.
    """
    among_real, among_synthetic = squared_distances(real, real), squared_distances(synthetic, synthetic)
    crossed = squared_distances(real, synthetic)
    least = (EQUAL * real.square().sum(2).mean(1)).clamp_min(1e-12)[:, None, None]
    scale, instead = (distances.detach().mean(dim=(1, 2), keepdim=True) for distances in (among_real, crossed))
    scale = torch.where(scale > least, scale, instead.clamp_min(least))

    def mean_kernel(distances: Tensor) -> Tensor:
        kernels = [torch.exp(-distances / (bandwidth * scale)) for bandwidth in BANDWIDTHS]
        return torch.stack(kernels).sum(0).mean(dim=(1, 2))

    return (mean_kernel(among_real) - 2 * mean_kernel(crossed) + mean_kernel(among_synthetic)).sum()


def loss(network: ConvNet, real: Tensor, synthetic: Tensor, classes: Tensor) -> Tensor:
    """The discrepancy in the network's features, with a gradient for `synthetic` alone.

    real: (K, B, C, H, W), synthetic: (K, n, C, H, W), normalised and augmented; classes: (K,), not needed here.
    """
    return discrepancy(*features_by_class(network, real, synthetic))
