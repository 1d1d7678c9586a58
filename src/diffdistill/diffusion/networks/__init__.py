"""Networks that a denoiser can be made of: one module each, and a registry by `kind`."""

from collections.abc import Mapping

from diffdistill.config import ModelBlock
from diffdistill.diffusion.networks.base import Network, Sizes
from diffdistill.diffusion.networks.unet import UNet
from diffdistill.diffusion.networks.uvit import UViT

__all__ = ["NETWORKS", "Network", "Sizes", "build"]

NETWORKS: Mapping[str, type[Network]] = {"uvit": UViT, "unet": UNet}
"""Network by the `kind` of its model block."""


def build(model: ModelBlock, sizes: Sizes) -> Network:
    """The network of a model block, newly initialised from torch's global generator.

    Raises ValueError if block and sizes do not fit.
    """
    return NETWORKS[model.kind].from_model(model, sizes)
