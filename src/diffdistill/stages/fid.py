"""Reads weights files and the reference; writes the Fréchet distance of fresh samples of each, as a JSON list.

With the classifier it also writes what that says of the labels, and how well the samples cover the classes. Started by
torchrun, it is one of several processes that share the images; the first one alone measures and writes.
"""

import json
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from diffdistill.classify.training import Classifier
from diffdistill.config import Measurement, as_json, stages
from diffdistill.data import image_files
from diffdistill.data.raw import Array
from diffdistill.diffusion import checkpoints
from diffdistill.diffusion.checkpoints import Checkpoint
from diffdistill.diffusion.labels import balanced
from diffdistill.errors import UserError
from diffdistill.generators import Generator
from diffdistill.generators.diffusion import DiffusionGenerator
from diffdistill.metrics import agreement, features, frechet, manifold
from diffdistill.runtime import devices, files, processes, tensor_files
from diffdistill.runtime.processes import Processes
from diffdistill.runtime.program import Job
from diffdistill.runtime.progress import Bar

logger = logging.getLogger(__name__)

CLASS_MEASURES = ("class_fid", "label_agreement", "label_agreement_validation", "precision", "recall", "class_images")
"""None without a classifier, or with less than two images per class."""
FEW_IMAGES = 2048
"""As many as Inception has features: with fewer images the covariance is singular."""


def main(job: Job[stages.Fid]) -> None:
    with processes.init(job.settings.devices, "fid.devices") as group:
        devices.set_up(max(1, job.threads // group.local_count))
        _measure(job, group)
        group.barrier()  # a process that left now would make torchrun end the first one, which may still be writing


def _measure(job: Job[stages.Fid], group: Processes) -> None:
    rows, block, started = list[dict[str, Any]](), job.settings.measurement, time.perf_counter()
    paths, (reference, about) = job.all_inputs("weights"), _reference(job)
    embeddings = [features.network_of(about["features"], job.input("features"), group.device)]
    classifier = None
    if "classifier" in job.inputs:
        classifier = Classifier.from_file(job.input("classifier")).to(group.device)
        embeddings += [classifier.features] if about["features"] != "classifier" else []
    for path in paths:
        checkpoint = checkpoints.load(path, group.device)
        _require_same_images(job.input("reference"), about, checkpoint)
        generator = DiffusionGenerator.of_checkpoint(checkpoint, block.solver, seed=block.seed, device=group.device)
        points = _features(block, group, generator, embeddings)
        if group.is_main:
            measures = _measures(points, reference, about, classifier, generator.num_classes, group.device)
            rows.append(_row(block, checkpoint, about, measures, group.device, time.perf_counter() - started))
            logger.info("%s: FID %.4f", rows[-1]["name"], rows[-1]["fid"])
        started = time.perf_counter()
    if group.is_main:
        files.write_json(job.output("fid"), rows)


def _measures(
    points: Sequence[Array],
    reference: Mapping[str, Tensor],
    about: Mapping[str, str],
    classifier: Classifier | None,
    num_classes: int,
    device: torch.device,
) -> dict[str, Any]:
    """The distance, and with a classifier what that says; points: features (N, F) of the samples by each network."""
    count = len(points[0])
    if count < FEW_IMAGES:
        logger.info("%d images are few for a Fréchet distance: compare it only with others of as many", count)
    mean, covariance = frechet.mean_and_covariance(points[0])
    distance = frechet.frechet_distance(mean, covariance, reference["mean"].numpy(), reference["covariance"].numpy())
    measures: dict[str, Any] = {"fid": distance, **dict.fromkeys(CLASS_MEASURES), "classifier_sha256": None}
    if classifier is not None:
        measures |= _of_classes(classifier, points[-1], reference["points"], num_classes, device)
        measures["label_agreement_validation"] = float(about["label_agreement_validation"])
        measures["classifier_sha256"] = about.get("classifier_sha256")
    return measures


def _row(
    block: Measurement,
    checkpoint: Checkpoint,
    about: Mapping[str, str],
    measures: Mapping[str, Any],
    device: torch.device,
    seconds: float,
) -> dict[str, Any]:
    """The measures, and what they were taken of, with and against."""
    return {
        "name": checkpoint.path.stem,
        "step": checkpoint.step,
        "ema_decay": checkpoint.metadata.get("ema_decay"),
        **measures,
        "images": block.images,
        "features": about["features"],
        "solver": f"{block.solver.algorithm} {block.solver.method} {block.solver.order}",
        "nfe": block.solver.nfe,
        "seconds": round(seconds, 3),
        "seed": block.seed,
        "weights": "ema",
        "features_sha256": about["features_sha256"],
        "reference": f"{about['split']} of {about['images']}",
        "source_checksum": about["source_checksum"],
        "weights_sha256": files.sha256(checkpoint.path),
        "settings": as_json(block),
        "machine": devices.describe(device),
        "parameters": checkpoint.denoiser.parameter_count,
    }


def _reference(job: Job[stages.Fid]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The reference. Raises UserError unless it was made by the same networks."""
    path = job.input("reference")
    tensors, about = tensor_files.load(path)
    expected = {"features_sha256": files.sha256(job.input("features"))}
    if "classifier" in job.inputs:
        expected["classifier_sha256"] = files.sha256(job.input("classifier"))
    _require(path, about, expected)
    return tensors, about


def _require_same_images(path: Path, about: Mapping[str, str], checkpoint: Checkpoint) -> None:
    """Raises UserError unless the reference was made of the images that the checkpoint was trained on."""
    expected = {
        "source_checksum": checkpoint.metadata.get("source_checksum"),
        "classes": checkpoint.metadata.get("classes"),
        "shape": json.dumps(list(checkpoint.denoiser.image_shape)),
    }
    _require(path, about, expected)
    image_files.require_same_origin(path, about, checkpoint.path, checkpoint.metadata)


def _require(path: Path, about: Mapping[str, str], expected: Mapping[str, str | None]) -> None:
    for key, found in expected.items():
        if about.get(key) != found:
            raise UserError(f"{path}: {key} is {about.get(key)}, but {found} here; make it again")


def _features(
    block: Measurement, group: Processes, generator: Generator, embeddings: Sequence[features.Embedding]
) -> list[Array]:
    """Features (N, F) float32 of all images by each embedding; the same in every process.

    Each process takes whole batches, so that every image goes through the networks in the same company however many
    processes there are; the sum with the zeros of the others changes no bit.
    """
    device = group.device
    blank = torch.zeros(1, *generator.image_shape, dtype=torch.uint8)
    widths = [features.in_batches(embed, blank, 1, device).shape[1] for embed in embeddings]
    points = [torch.zeros(block.images, width) for width in widths]
    starts = range(0, block.images, block.batch_size)
    own, hidden = starts[group.share(len(starts))], None if group.is_main else True
    for first in Bar(own, desc="fid", unit="batch", disable=hidden):
        count = min(block.batch_size, block.images - first)
        images = generator.generate(first, balanced(first, count, generator.num_classes))
        for values, embed in zip(points, embeddings, strict=True):
            values[first : first + count] = torch.from_numpy(features.in_batches(embed, images, 50, device))
    for values in points:
        group.all_reduce(values)
    return [values.numpy() for values in points]


def _of_classes(
    classifier: Classifier, points: Array, real: Tensor, num_classes: int, device: torch.device
) -> dict[str, Any]:
    """What the classifier says of samples by their features (N, F), classes in turn as in the real ones (M, F)."""
    labels = balanced(0, len(points), num_classes)
    predicted = agreement.predict_from_features(classifier, torch.from_numpy(points))
    measures: dict[str, Any] = {"label_agreement": agreement.label_agreement(predicted, labels)}
    each = min(len(points), len(real)) // num_classes
    if each < 2 or each * num_classes <= manifold.NEIGHBOURS:
        logger.info("%d images per class are too few for class measures", each)
        return measures
    points, real = points[: each * num_classes], real[: each * num_classes]
    precision, recall = manifold.precision_and_recall(torch.from_numpy(points).to(device), real.to(device))
    measures |= {
        "class_fid": frechet.class_distance(points, real.numpy(), num_classes),
        "precision": precision,
        "recall": recall,
        "class_images": each,
    }
    return measures
