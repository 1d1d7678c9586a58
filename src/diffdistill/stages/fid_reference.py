"""Reads the train split and the features' network; writes mean and covariance of the split's features.

Given the classifier and the validation split too, also what generated images are compared with class by class: points,
the classifier's features of equally many train images of each class, and how far it agrees with validation's labels.
"""

import json
import logging
import sys
from collections.abc import Sequence

import torch

from diffdistill.classify.training import Classifier
from diffdistill.data import image_files, selection
from diffdistill.data.image_files import ImageSet
from diffdistill.data.raw import Array
from diffdistill.errors import UserError
from diffdistill.metrics import agreement, features, frechet
from diffdistill.runtime import devices, files, program, provenance, tensor_files

logger = logging.getLogger("diffdistill")

MOST_POINTS = 10_000
"""Their distances to as many others take seconds, on a CPU too."""


def stage(job: program.Job) -> None:
    devices.set_up(job.threads)
    kind, network_file = job.config["features"], job.input("features")
    data = image_files.load(job.input("train"))
    values = features.of_images(kind, network_file, data.images, devices.best_device())
    mean, covariance = frechet.mean_and_covariance(values)
    metadata = {
        "features": kind,
        "features_sha256": files.sha256(network_file),
        "images": str(len(data.images)),
        "split": "train",
        "classes": json.dumps(data.classes),
        "shape": json.dumps(list(data.images.shape[1:])),
    }
    metadata |= image_files.origin_of(data.metadata) | provenance.as_metadata(job, devices.best_device())
    tensors = {"mean": torch.from_numpy(mean), "covariance": torch.from_numpy(covariance)}
    if "classifier" in job.inputs:
        tensors["points"], told = _of_classes(job, data, values if kind == "classifier" else None)
        metadata |= told
    tensor_files.save(job.output("reference"), tensors, metadata)


def _of_classes(job: program.Job, data: ImageSet, values: Array | None) -> tuple[torch.Tensor, dict[str, str]]:
    """Points float32 (n K, F), row i of class i mod K, and metadata; values: all images' features where known."""
    path, validation_file = job.input("classifier"), job.input("validation")
    validation, classifier = image_files.load(validation_file), Classifier.from_file(path).to(devices.best_device())
    image_files.require_same_classes(validation_file, validation, job.input("train"), data)
    if values is not None and job.input("features") != path:
        raise UserError(f"--in classifier={path} must be the one of the features, {job.input('features')}")
    classes = len(data.classes)
    each = min(int(data.labels.bincount(minlength=classes).min()), MOST_POINTS // classes)
    kept = selection.per_class(data.labels, [each] * classes, selection.randomly(0))
    points = features.classifier_features(classifier, data.images[kept]) if values is None else values[kept.numpy()]
    agreed = agreement.label_agreement(agreement.judge(classifier, validation.images)[0], validation.labels)
    logger.info("label agreement of %d validation images: %.4f", len(validation.labels), agreed)
    told = {"classifier_sha256": files.sha256(path), "label_agreement_validation": repr(agreed)}
    return torch.from_numpy(points).float(), told


def main(argv: Sequence[str] | None = None) -> int:
    return program.run(stage, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
