"""Label agreement: how often a classifier trained on real images predicts the labels of others."""

import torch
from torch import Tensor, nn

from diffdistill.classify.training import Classifier, logits


def predict(classifier: nn.Module, images: Tensor, batch_size: int = 500) -> tuple[Tensor, Tensor]:
    """Likeliest class int64 (N,) and its probability float32 (N,) of images uint8 (N, C, H, W)."""
    likeliest = logits(classifier.eval(), images, batch_size).softmax(1).max(1)
    return likeliest.indices, likeliest.values


@torch.inference_mode()
def predict_from_features(classifier: Classifier, points: Tensor) -> Tensor:
    """Likeliest class int64 (N,) of images with features (N, F): the last layer of the classifier alone."""
    device = next(classifier.parameters()).device
    return classifier.head(points.to(device, torch.float32)).argmax(1).cpu()


def label_agreement(predicted: Tensor, labels: Tensor) -> float:
    """Share of labels int64 (N,) that are the predicted ones, 0..1; 0 of none."""
    return float((predicted == labels).double().mean()) if len(labels) else 0.0


def per_class(marked: Tensor, labels: Tensor, num_classes: int) -> list[int]:
    """How many images of each class are marked; marked bool (N,), labels int64 (N,)."""
    return labels[marked].bincount(minlength=num_classes).tolist()
