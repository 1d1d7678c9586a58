"""Reads the train split and the network of the features; writes mean and covariance of the split's features.

With the classifier and the validation split it also writes what class measures compare with: `points`, the classifier's
features of equally many train images per class, and the label agreement on validation.
"""

import json
import logging

import torch

from diffdistill.classify.training import Classifier
from diffdistill.config import stages
from diffdistill.data import image_files, selection
from diffdistill.data.image_files import ImageSet
from diffdistill.data.raw import Array
from diffdistill.errors import UserError
from diffdistill.metrics import agreement, features, frechet
from diffdistill.runtime import devices, files, provenance, tensor_files
from diffdistill.runtime.program import Job

logger = logging.getLogger(__name__)

MAX_POINTS = 10_000
"""Distances to as many other points take seconds, on a CPU too."""


def main(job: Job[stages.FidReference]) -> None:
    devices.set_up(job.threads)
    kind, network_file, device = job.settings.features, job.input("features"), devices.best_device()
    data = image_files.load(job.input("train"))
    values = features.of_images(kind, network_file, data.images, device)
    mean, covariance = frechet.mean_and_covariance(values)
    metadata = {
        "features": kind,
        "features_sha256": files.sha256(network_file),
        "images": str(len(data.images)),
        "split": "train",
        "classes": json.dumps(data.classes),
        "shape": json.dumps(list(data.images.shape[1:])),
    }
    metadata |= image_files.origin_of(data.metadata) | provenance.as_metadata(job.settings, job.inputs, device)
    tensors = {"mean": torch.from_numpy(mean), "covariance": torch.from_numpy(covariance)}
    if "classifier" in job.inputs:
        tensors["points"], more = _of_classes(job, data, values if kind == "classifier" else None)
        metadata |= more
    tensor_files.save(job.output("reference"), tensors, metadata)


def _of_classes(
    job: Job[stages.FidReference], data: ImageSet, values: Array | None
) -> tuple[torch.Tensor, dict[str, str]]:
    """Points float32 (n K, F), row i of class i mod K, and metadata; values: all images' features if known."""
    path, validation_file = job.input("classifier"), job.input("validation")
    validation, classifier = image_files.load(validation_file), Classifier.from_file(path).to(devices.best_device())
    image_files.require_same_classes(validation_file, validation, job.input("train"), data)
    if values is not None and job.input("features") != path:
        raise UserError(f"--in classifier={path} must be the network of the features, {job.input('features')}")
    classes = len(data.classes)
    each = min(int(data.labels.bincount(minlength=classes).min()), MAX_POINTS // classes)
    kept = selection.per_class(data.labels, [each] * classes, selection.randomly(0))
    points = features.classifier_features(classifier, data.images[kept]) if values is None else values[kept.numpy()]
    agreed = agreement.label_agreement(agreement.predict(classifier, validation.images)[0], validation.labels)
    logger.info("label agreement of %d validation images: %.4f", len(validation.labels), agreed)
    metadata = {"classifier_sha256": files.sha256(path), "label_agreement_validation": repr(agreed)}
    return torch.from_numpy(points).float(), metadata
