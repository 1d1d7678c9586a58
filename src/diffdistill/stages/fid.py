"""Reads one weights file and the reference; writes the Fréchet distance of freshly drawn images as JSON.

Given the classifier too, also what it says of the labels, and of how the classes are covered. Started by torchrun, it
is one of several processes that share the images; the first one alone measures and writes.
"""

import json
import logging
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from diffdistill import config
from diffdistill.classify.training import Classifier
from diffdistill.data import image_files
from diffdistill.data.raw import Array
from diffdistill.diffusion import sampling, weights
from diffdistill.errors import UserError
from diffdistill.metrics import agreement, features, frechet, manifold
from diffdistill.runtime import devices, files, processes, program, tensor_files

logger = logging.getLogger("diffdistill")

CLASS_MEASURES = ("class_fid", "label_agreement", "label_agreement_validation", "precision", "recall", "class_images")
"""None where there is no classifier, or no two images a class."""


def stage(job: program.Job) -> None:
    count = job.config.get("devices", 1)
    block = config.read(config.Measurement, {key: value for key, value in job.config.items() if key != "devices"})
    with processes.init(count, "fid.devices") as group:
        devices.set_up(max(1, job.threads // group.local_count))
        _measure(job, block, group)
        group.barrier()  # a process that left now would make torchrun end the first one, which may still be writing


def _measure(job: program.Job, block: config.Measurement, group: processes.Processes) -> None:
    started, weights_file = time.perf_counter(), job.input("weights")
    network, shape, made = weights.load(weights_file, group.device)
    reference, about = _reference(job, shape, made)
    embeddings = [features.network_of(about["features"], job.input("features"), group.device)]
    classifier = None
    if "classifier" in job.inputs:
        classifier = Classifier.from_file(job.input("classifier")).to(group.device)
        embeddings += [classifier.features] if about["features"] != "classifier" else []
    drawn = _drawn(block, group, network, shape, embeddings)
    if not group.is_main:
        return
    mean, covariance = frechet.mean_and_covariance(drawn[0])
    if block.images < 2048:
        logger.info("%d images are few for a Fréchet distance: compare it only with others of as many", block.images)
    distance = frechet.frechet_distance(mean, covariance, reference["mean"].numpy(), reference["covariance"].numpy())
    of_classes: dict[str, Any] = dict.fromkeys(CLASS_MEASURES)
    if classifier is not None:
        of_classes |= _of_classes(classifier, drawn[-1], reference["points"], shape.num_classes, group.device)
        of_classes["label_agreement_validation"] = float(about["label_agreement_validation"])
    row = {
        "name": weights_file.stem,
        "step": int(made["step"]),
        "ema_decay": made.get("ema_decay"),
        "fid": distance,
        **of_classes,
        "images": block.images,
        "features": about["features"],
        "solver": f"{block.solver.algorithm} {block.solver.method} {block.solver.order}",
        "evaluations": block.solver.steps,
        "seconds": round(time.perf_counter() - started, 3),
        "seed": block.seed,
        "weights": "ema",
        "features_sha256": about["features_sha256"],
        "classifier_sha256": about.get("classifier_sha256") if classifier is not None else None,
        "reference": f"{about['split']} of {about['images']}",
        "source_checksum": about["source_checksum"],
        "weights_sha256": files.sha256(weights_file),
        "settings": json.dumps(block.model_dump(mode="json"), sort_keys=True),
        "machine": devices.describe(group.device),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
    }
    logger.info("%s: FID %.4f", row["name"], distance)
    files.write_json(job.output("fid"), row)


def _reference(
    job: program.Job, shape: weights.Shape, made: Mapping[str, str]
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The reference. Raises UserError unless it was made of the same images, by the same networks."""
    path = job.input("reference")
    tensors, about = tensor_files.load(path)
    expected = {
        "features_sha256": files.sha256(job.input("features")),
        "source_checksum": made.get("source_checksum"),
        "classes": made.get("classes"),
        "shape": json.dumps([shape.in_chans, shape.img_size, shape.img_size]),
    }
    if "classifier" in job.inputs:
        expected["classifier_sha256"] = files.sha256(job.input("classifier"))
    for key, found in expected.items():
        if about.get(key) != found:
            raise UserError(f"{path}: {key} is {about.get(key)}, but {found} here; make it again")
    image_files.require_same_origin(path, about, job.input("weights"), made)
    return tensors, about


def _drawn(
    block: config.Measurement,
    group: processes.Processes,
    network: sampling.Network,
    shape: weights.Shape,
    embeddings: Sequence[features.Embedding],
) -> list[Array]:
    """Features (N, F) float32 of all images by each embedding; the same in every process.

    Each process takes whole batches, so that every image goes through the networks in the same company however many
    processes there are; the sum with the zeros of the others changes no bit.
    """
    solver, device = block.solver.model_dump(), group.device
    size = (shape.in_chans, shape.img_size, shape.img_size)
    blank = torch.zeros(1, *size, dtype=torch.uint8)
    widths = [features.in_batches(embed, blank, 1, device).shape[1] for embed in embeddings]
    found = [torch.zeros(block.images, width) for width in widths]
    starts = range(0, block.images, block.batch_size)
    own, hidden = starts[group.share(len(starts))], None if group.is_main else True
    for first in tqdm(own, desc="fid", unit="batch", disable=hidden):
        count = min(block.batch_size, block.images - first)
        images, _ = sampling.draw(network, shape, solver, seed=block.seed, first=first, count=count, device=device)
        for values, embed in zip(found, embeddings, strict=True):
            values[first : first + count] = torch.from_numpy(features.in_batches(embed, images, 50, device))
    for values in found:
        group.all_reduce(values)
    return [values.numpy() for values in found]


def _of_classes(
    classifier: Classifier, points: Array, real: Tensor, num_classes: int, device: torch.device
) -> dict[str, Any]:
    """What the classifier says of images by their features (N, F), in turn of the K classes as the real ones (M, F)."""
    labels = sampling.labels_of(0, len(points), num_classes)
    predicted = agreement.judge_features(classifier, torch.from_numpy(points))
    found: dict[str, Any] = {"label_agreement": agreement.label_agreement(predicted, labels)}
    each = min(len(points), len(real)) // num_classes
    if each < 2 or each * num_classes <= manifold.NEIGHBOURS:
        logger.info("%d images of each class are too few to measure the classes by", each)
        return found
    points, real = points[: each * num_classes], real[: each * num_classes]
    precision, recall = manifold.precision_and_recall(torch.from_numpy(points).to(device), real.to(device))
    found |= {
        "class_fid": frechet.class_distance(points, real.numpy(), num_classes),
        "precision": precision,
        "recall": recall,
        "class_images": each,
    }
    return found


def main(argv: Sequence[str] | None = None) -> int:
    arguments = processes.silence_workers(logger, sys.argv[1:] if argv is None else argv)
    return program.run(stage, arguments, __doc__, memory_setting="fid.batch_size")


if __name__ == "__main__":
    sys.exit(main())
