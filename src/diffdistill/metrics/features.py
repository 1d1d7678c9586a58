"""Features of images, between which the Fréchet distance is taken."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from diffdistill.classify.training import Classifier
from diffdistill.errors import UserError


@torch.inference_mode()
def of_images(kind: str, network_file: Path, images: Tensor, device: torch.device, batch_size: int = 250) -> Any:
    """Features (N, F) float64 of images uint8 (N, C, H, W): every image counted, whatever the batch size.

    kind: `classifier`, the penultimate layer of the ConvNet in network_file. Raises UserError for any other.
    """
    if kind != "classifier":
        raise UserError(f"fid.features: '{kind}' is unknown; known: classifier")
    classifier = Classifier.from_file(network_file).to(device)
    parts = [
        classifier.features(images[first : first + batch_size].to(device)).double().cpu().numpy()
        for first in range(0, len(images), batch_size)
    ]
    return np.concatenate(parts)
