"""Features of images, between which the Fréchet distance is taken."""

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from diffdistill.classify.training import Classifier
from diffdistill.errors import UserError
from diffdistill.metrics.frechet import Array

Embedding = Callable[[Tensor], Tensor]
"""Images uint8 (B, C, H, W) -> features float32 (B, F), both on one device."""


def of_images(kind: str, network_file: Path | str, images: Tensor, device: torch.device, batch_size: int = 50) -> Array:
    """Features (N, F) float64 of images uint8 (N, C, H, W): every image counted, whatever the batch size.

    kind: `classifier`, the penultimate layer of the ConvNet in network_file, or `inception`, pytorch-fid's network with
    the weights in network_file. Raises UserError for any other, and for a file that does not hold such a network.
    """
    return in_batches(network_of(kind, network_file, device), images, batch_size, device)


def network_of(kind: str, network_file: Path | str, device: torch.device) -> Embedding:
    """Kind, network_file and errors as of_images says."""
    if kind == "classifier":
        return Classifier.from_file(network_file).to(device).features
    if kind == "inception":
        return inception(network_file).to(device)
    raise UserError(f"fid.features: '{kind}' is unknown; known: classifier, inception")


def classifier_features(classifier: Classifier, images: Tensor, batch_size: int = 50) -> Array:
    """Penultimate layer (N, F) float64 of images uint8 (N, C, H, W); leaves the classifier in evaluation mode."""
    classifier.eval()
    return in_batches(classifier.features, images, batch_size, next(classifier.parameters()).device)


def inception_features(weights_file: Path | str, images: Tensor, batch_size: int, device: torch.device) -> Array:
    """pytorch-fid's pooled features (N, 2048) float64 of images uint8 (N, C, H, W), grey ones widened to three.

    Resized and scaled as there: [0, 1], bilinear to 299 pixels (align_corners False), then [-1, 1]. Raises UserError if
    weights_file is missing or does not hold those weights.
    """
    return in_batches(inception(weights_file).to(device), images, batch_size, device)


@torch.inference_mode()
def in_batches(network: Embedding, images: Tensor, batch_size: int, device: torch.device) -> Array:
    """What the network makes of images uint8 (N, C, H, W), in float64."""
    starts = range(0, len(images), batch_size)
    parts = [network(images[first : first + batch_size].to(device)).double().cpu().numpy() for first in starts]
    return np.concatenate(parts)


class _Pooled(nn.Module):
    """pytorch-fid's network behind its resizing and scaling, in a form that computes the same numbers faster."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        for part in network.modules():
            conv, norm = getattr(part, "conv", None), getattr(part, "bn", None)
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):  # constants by now: put into weights
                part.conv, part.bn = fuse_conv_bn_eval(conv, norm), nn.Identity()
        self.network = network.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """uint8 (B, C, H, W) -> (B, 2048)"""
        x = (images.float() / 255).expand(-1, 3, -1, -1)
        x = F.interpolate(x, size=(299, 299), mode="bilinear", align_corners=False)
        return self.network((2 * x - 1).contiguous(memory_format=torch.channels_last))  # type: ignore[no-any-return]


def inception(weights_file: Path | str) -> nn.Module:
    """pytorch-fid's `fid_inception_v3` without its download and its last layer: uint8 (B, C, H, W) -> (B, 2048).

    Raises UserError if weights_file is missing or does not hold its weights.
    """
    weights_file = Path(weights_file)
    # imported here: torchvision takes a second, which the classifier's features need not wait for
    from pytorch_fid import inception as published
    from torchvision.models import inception_v3

    if not weights_file.is_file():
        raise UserError(f"{weights_file}: no such file; download {published.FID_WEIGHTS_URL} and put it there")
    network: nn.Module = inception_v3(weights=None, num_classes=1008, aux_logits=False, init_weights=False)
    network.Mixed_5b = published.FIDInceptionA(192, pool_features=32)
    network.Mixed_5c = published.FIDInceptionA(256, pool_features=64)
    network.Mixed_5d = published.FIDInceptionA(288, pool_features=64)
    network.Mixed_6b = published.FIDInceptionC(768, channels_7x7=128)
    network.Mixed_6c = published.FIDInceptionC(768, channels_7x7=160)
    network.Mixed_6d = published.FIDInceptionC(768, channels_7x7=160)
    network.Mixed_6e = published.FIDInceptionC(768, channels_7x7=192)
    network.Mixed_7b = published.FIDInceptionE_1(1280)
    network.Mixed_7c = published.FIDInceptionE_2(2048)
    try:
        network.load_state_dict(torch.load(weights_file, map_location="cpu", weights_only=True), strict=True)
    except (pickle.UnpicklingError, EOFError, RuntimeError, TypeError) as error:
        raise UserError(
            f"{weights_file}: does not hold pytorch-fid's weights ({type(error).__name__}); delete it and download "
            f"{published.FID_WEIGHTS_URL} to this place"
        ) from error
    network.fc = nn.Identity()
    return _Pooled(network.eval())
