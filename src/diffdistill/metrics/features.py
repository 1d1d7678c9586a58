"""Features of images, between which the Fréchet distance is taken."""

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from diffdistill.classify.training import Classifier
from diffdistill.errors import UserError
from diffdistill.metrics.frechet import Array


def of_images(kind: str, network_file: Path, images: Tensor, device: torch.device, batch_size: int = 50) -> Array:
    """Features (N, F) float64 of images uint8 (N, C, H, W): every image counted, whatever the batch size.

    kind: `classifier`, the penultimate layer of the ConvNet in network_file, or `inception`, pytorch-fid's network with
    the weights in network_file. Raises UserError for any other, and for a file that does not hold such a network.
    """
    if kind == "classifier":
        return classifier_features(Classifier.from_file(network_file).to(device), images, batch_size)
    if kind == "inception":
        return inception_features(network_file, images, batch_size, device)
    raise UserError(f"fid.features: '{kind}' is unknown; known: classifier, inception")


def classifier_features(classifier: Classifier, images: Tensor, batch_size: int = 50) -> Array:
    """Penultimate layer (N, F) float64 of images uint8 (N, C, H, W); leaves the classifier in evaluation mode."""
    classifier.eval()
    return _in_batches(classifier.features, images, batch_size, next(classifier.parameters()).device)


def inception_features(weights_file: Path, images: Tensor, batch_size: int, device: torch.device) -> Array:
    """pytorch-fid's pooled features (N, 2048) float64 of images uint8 (N, C, H, W), grey ones widened to three.

    Resized and scaled as there: [0, 1], bilinear to 299 pixels (align_corners False), then [-1, 1]. Raises UserError if
    weights_file is missing or does not hold those weights.
    """
    network = _inception(weights_file).to(device)

    def pooled(batch: Tensor) -> Tensor:
        x = (batch.float() / 255).expand(-1, 3, -1, -1)
        x = F.interpolate(x, size=(299, 299), mode="bilinear", align_corners=False)
        return network(2 * x - 1)  # type: ignore[no-any-return]

    return _in_batches(pooled, images, batch_size, device)


@torch.inference_mode()
def _in_batches(network: Callable[[Tensor], Tensor], images: Tensor, batch_size: int, device: torch.device) -> Array:
    starts = range(0, len(images), batch_size)
    parts = [network(images[first : first + batch_size].to(device)).double().cpu().numpy() for first in starts]
    return np.concatenate(parts)


def _inception(weights_file: Path) -> nn.Module:
    """pytorch-fid's `fid_inception_v3` without its download, and without the last layer."""
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
    return network.eval()
