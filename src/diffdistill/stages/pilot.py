"""Reads one weights file and the validation split; writes the accuracy there of ConvNets trained on images it draws.

What the distilled set is for is tried on a small scale: few images, and a short training, repeated with several seeds.
Autoguidance reads the weights of an earlier iteration too, and a selection the classifier of the real train split.
"""

import json
import logging
import sys
import time
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from tqdm import tqdm

from diffdistill import config
from diffdistill.classify import evaluation, training
from diffdistill.data import image_files, selection
from diffdistill.data.image_files import ImageSet
from diffdistill.diffusion import sampling, weights
from diffdistill.diffusion.uvit import UViT
from diffdistill.errors import UserError
from diffdistill.metrics import agreement
from diffdistill.runtime import devices, files, program

logger = logging.getLogger("diffdistill")


def accuracy_and_error(right: Tensor) -> tuple[float, float]:
    """Mean of right bool (S, N), N images judged by S trainings, and its standard error over images and trainings.

    Both could have been others, so the variances of the means by image and by training add up: sqrt(v_N / N + v_S / S).
    Of a single training nothing is known of the latter.
    """
    by_image, by_training = right.double().mean(0), right.double().mean(1)
    variances = [float(means.var()) / len(means) for means in (by_image, by_training) if len(means) > 1]
    return float(by_image.mean()), sum(variances) ** 0.5


def stage(job: program.Job) -> None:
    devices.set_up(job.threads)
    device, started = devices.best_device(), time.perf_counter()
    draw = config.read(config.Draw, job.config["draw"])
    protocol = training.Protocol(**config.read(config.Protocol, job.config["protocol"]).model_dump())
    weights_file, validation_file = job.input("weights"), job.input("validation")
    network, shape, made = weights.load(weights_file, device)
    validation = image_files.load(validation_file)
    found, size = json.dumps(validation.classes), (shape.in_chans, shape.img_size, shape.img_size)
    if made.get("classes") != found or tuple(validation.images.shape[1:]) != size:
        raise UserError(f"{weights_file} draws other classes or sizes than {validation_file} has; make both again")
    image_files.require_same_origin(validation_file, validation.metadata, weights_file, made)
    images, labels, evaluations = _drawn(job, draw, network, shape, made)
    count = len(images)
    if draw.select is not None and draw.select.needs_classifier:
        images, labels = _selected(job, draw.select, ImageSet(images, labels, validation.classes, made))
    right = []
    for repeat in job.config["seeds"]:
        classifier = training.fit(
            images, labels, num_classes=shape.num_classes, protocol=protocol,
            statistics=training.statistics(protocol, images), seed=repeat, device=device,
            progress=f"pilot, seed {repeat}",
        )  # fmt: skip
        right.append(training.logits(classifier, validation.images).argmax(1) == validation.labels)
    accuracy, error = accuracy_and_error(torch.stack(right))
    row = {
        "name": weights_file.stem,
        "step": int(made["step"]),
        "accuracy": accuracy,
        "standard_error": error,
        "images": count,
        "kept": len(images),
        "seeds": job.config["seeds"],
        "accuracies": [float(one.double().mean()) for one in right],
        "draw": draw.model_dump(mode="json"),
        "evaluations": evaluations,
        "evaluations_in_all": job.config["evaluations"],
        "seconds": round(time.perf_counter() - started, 3),
        "seed": job.config["seed"],
        "protocol": json.dumps(job.config["protocol"], sort_keys=True),
        "validated_on": files.sha256(validation_file),
        "weights_sha256": files.sha256(weights_file),
        "machine": devices.describe(device),
    }
    logger.info(
        "%s: accuracy %.4f ± %.4f on %d validation images", row["name"], accuracy, error, len(validation.labels)
    )
    files.write_json(job.output("pilot"), row)


def _drawn(
    job: program.Job, draw: config.Draw, network: UViT, shape: weights.Shape, made: Mapping[str, str]
) -> tuple[Tensor, Tensor, int]:
    """As many images as the given evaluations suffice for, their labels, and how many evaluations an image takes."""
    device, seed, batch_size = devices.best_device(), job.config["seed"], job.config["batch_size"]
    if draw.solver is None:
        raise UserError("--config: draw.solver is missing; add it")
    solver, earlier = draw.solver.model_dump(), None
    if draw.guidance is not None and draw.guidance.from_step is not None:
        own = (job.input("weights"), shape, made)
        earlier = weights.load_guide(job.inputs.get("guide", []), draw.guidance.from_step, own, device)
    guidance = None if draw.guidance is None else draw.guidance.model_dump()
    predict, evaluations = sampling.with_guidance(network, shape, guidance, earlier)
    sampling.draw(predict, shape, solver, seed=seed, first=0, count=1, device=device)
    per_image = evaluations()
    count = max(shape.num_classes, job.config["evaluations"] // per_image)
    batches = [
        sampling.draw(
            predict, shape, solver, seed=seed, first=first, count=min(batch_size, count - first), device=device
        )
        for first in tqdm(range(0, count, batch_size), desc="draw", unit="batch", disable=None)
    ]
    images, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
    return images, labels, per_image


def _selected(job: program.Job, select: config.Select, drawn: ImageSet) -> tuple[Tensor, Tensor]:
    """The images that the selection would leave, and their labels."""
    path = job.input("classifier")
    classifier = evaluation.judge_of(path, job.input("weights"), drawn, devices.best_device())
    labels, left, _ = selection.repaired(
        drawn.labels,
        *agreement.judge(classifier, drawn.images),
        above=select.confidence,
        label_noise=select.label_noise,
    )
    return drawn.images[left], labels[left]


def main(argv: Sequence[str] | None = None) -> int:
    return program.run(stage, argv, __doc__, memory_setting="choose.batch_size")


if __name__ == "__main__":
    sys.exit(main())
