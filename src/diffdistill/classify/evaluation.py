"""One training on a set and its test, for the main evaluation, its baselines and a study."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from diffdistill.classify import training
from diffdistill.config import Protocol, as_json
from diffdistill.data import image_files
from diffdistill.data.image_files import ImageSet
from diffdistill.errors import UserError
from diffdistill.runtime import files, tensor_files


def load(train_file: Path | str, test_file: Path | str) -> tuple[ImageSet, ImageSet]:
    """The set to train on and the test split.

    Raises UserError if they differ in classes, the images' shape, or their source.
    """
    train, test = image_files.load(train_file), image_files.load(test_file)
    image_files.require_same_classes(train_file, train, test_file, test)
    image_files.require_same_shape(train_file, train, test_file, test)
    image_files.require_same_origin(train_file, train.metadata, test_file, test.metadata)
    return train, test


def classifier_for(path: Path | str, of_file: Path | str, of: ImageSet, device: torch.device) -> training.Classifier:
    """The classifier in `path`, for the images of `of_file`.

    Raises UserError if they differ in class names or their order, or in their source.
    """
    made = tensor_files.load(path, lambda name: False)[1]
    image_files.require_same_origin(path, made, of_file, of.metadata)
    if json.loads(made.get("classes", "[]")) != of.classes:
        raise UserError(f"{path} and {of_file} differ in class names or their order; make both again")
    return training.Classifier.from_file(path).to(device)


def tested(
    images: Tensor,
    labels: Tensor,
    test: ImageSet,
    *,
    protocol: Protocol,
    seed: int,
    device: torch.device,
    progress: str,
    architecture: str = "convnet",
) -> dict[str, Any]:
    """Train on images uint8 (N, C, H, W) as `training.fit` does, test, and return the row of a table."""
    statistics = training.statistics(protocol, images)
    classifier = training.fit(
        images, labels, num_classes=len(test.classes), protocol=protocol, statistics=statistics, seed=seed,
        device=device, progress=progress, architecture=architecture,
    )  # fmt: skip
    return {
        "images": len(images),
        "seed": seed,
        "accuracy": training.accuracy(classifier, test.images, test.labels),
        "epochs": round(training.epochs(protocol, len(images)), 2),
        "protocol": as_json(protocol),
        "normalised_by": str(statistics),
    }


def files_used(train_file: Path | str, test_file: Path | str) -> dict[str, str]:
    """Checksums that decide whether two rows can be compared."""
    return {"trained_on": files.sha256(train_file), "tested_on": files.sha256(test_file)}
