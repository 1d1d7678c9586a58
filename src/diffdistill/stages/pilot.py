"""Reads one weights file and the validation split; writes the accuracy there of ConvNets trained on images it draws.

What the distilled set is for is tried on a small scale: few images, and a short training, repeated with several seeds.
"""

import json
import logging
import sys
import time
from collections.abc import Sequence

import torch
from torch import Tensor
from tqdm import tqdm

from diffdistill import config
from diffdistill.classify import training
from diffdistill.data import images as image_files
from diffdistill.diffusion import sampling, weights
from diffdistill.errors import UserError
from diffdistill.runtime import device as devices
from diffdistill.runtime import files, program

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
    solver = config.read(config.Solver, job.config["solver"]).model_dump()
    protocol = training.Protocol(**config.read(config.Protocol, job.config["protocol"]).model_dump())
    count, batch_size, seed = job.config["images"], job.config["batch_size"], job.config["seed"]
    weights_file, validation_file = job.input("weights"), job.input("validation")
    network, shape, made = weights.load(weights_file, device)
    validation = image_files.load(validation_file)
    found, size = json.dumps(validation.classes), (shape.in_chans, shape.img_size, shape.img_size)
    if made.get("classes") != found or tuple(validation.images.shape[1:]) != size:
        raise UserError(f"{weights_file} draws other classes or sizes than {validation_file} has; make both again")
    image_files.require_same_origin(validation_file, validation.metadata, weights_file, made)
    batches = [
        sampling.draw(
            network, shape, solver, seed=seed, first=first, count=min(batch_size, count - first), device=device
        )
        for first in tqdm(range(0, count, batch_size), desc="draw", unit="batch", disable=None)
    ]
    images, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
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
        "step": int(made["step"]),
        "accuracy": accuracy,
        "standard_error": error,
        "images": count,
        "seeds": job.config["seeds"],
        "accuracies": [float(one.double().mean()) for one in right],
        "solver": solver,
        "evaluations": solver["steps"],
        "seconds": round(time.perf_counter() - started, 3),
        "seed": seed,
        "protocol": json.dumps(job.config["protocol"], sort_keys=True),
        "validated_on": files.sha256(validation_file),
        "weights_sha256": files.sha256(weights_file),
        "machine": devices.describe(device),
    }
    logger.info(
        "step %d: accuracy %.4f ± %.4f on %d validation images", row["step"], accuracy, error, len(validation.labels)
    )
    files.write_json(job.output("pilot"), row)


def main(argv: Sequence[str] | None = None) -> int:
    return program.run(stage, argv, __doc__, memory_setting="choose.batch_size")


if __name__ == "__main__":
    sys.exit(main())
