"""How far a classifier trained on real images agrees with the labels of others."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from diffdistill.classify.training import Classifier, logits


def judge(classifier: nn.Module, images: Tensor, batch_size: int = 500) -> tuple[Tensor, Tensor]:
    """Likeliest class int64 (N,) and its probability float32 (N,) of images uint8 (N, C, H, W)."""
    likeliest = logits(classifier.eval(), images, batch_size).softmax(1).max(1)
    return likeliest.indices, likeliest.values


@torch.inference_mode()
def judge_features(classifier: Classifier, points: Tensor) -> Tensor:
    """Likeliest class int64 (N,) of images whose features (N, F) are known: the classifier's last layer alone."""
    weight, bias = (classifier.get_parameter(f"network.classifier.{name}") for name in ("weight", "bias"))
    return F.linear(points.to(weight), weight, bias).argmax(1).cpu()


def label_agreement(predicted: Tensor, labels: Tensor) -> float:
    """Share of labels int64 (N,) that are the predicted ones, 0..1; 0 of none."""
    return float((predicted == labels).double().mean()) if len(labels) else 0.0


def per_class(marked: Tensor, labels: Tensor, num_classes: int) -> list[int]:
    """How many images of each class are marked; marked bool (N,), labels int64 (N,)."""
    return labels[marked].bincount(minlength=num_classes).tolist()
