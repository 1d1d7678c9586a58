"""Distribution matching (Zhao and Bilen 2023, arXiv 2110.04181): equal class means in the features of a network."""

from torch import Tensor

from diffdistill.classify.convnet import ConvNet


def mean_distance(real: Tensor, synthetic: Tensor) -> Tensor:
    """The objective of section 3.2 for one network and one augmentation: squared distances of class means, summed.

    real: features (K, B, F); synthetic: features (K, n, F). The expectation over networks is taken by the iterations.
    """
    return (real.mean(dim=1) - synthetic.mean(dim=1)).square().sum()


def features_by_class(network: ConvNet, real: Tensor, synthetic: Tensor) -> tuple[Tensor, Tensor]:
    """Features (K, B, F) and (K, n, F) of images (K, B, C, H, W) and (K, n, C, H, W); real ones have no gradient."""
    features = [network.embed(x.flatten(0, 1)).reshape(*x.shape[:2], -1) for x in (real.detach(), synthetic)]
    return features[0].detach(), features[1]


def loss(network: ConvNet, real: Tensor, synthetic: Tensor, classes: Tensor) -> Tensor:
    """The distance in the network's features, with a gradient for `synthetic` alone.

    real: (K, B, C, H, W), synthetic: (K, n, C, H, W), normalised and augmented; classes: (K,), not needed here.
    """
    return mean_distance(*features_by_class(network, real, synthetic))
