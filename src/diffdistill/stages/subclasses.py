"""Reads the train split and a classifier trained on it; writes the part of its class that each image belongs to."""

import logging
import sys
from collections.abc import Sequence

import torch

from diffdistill.data import image_files
from diffdistill.diffusion import subclasses
from diffdistill.metrics import features
from diffdistill.runtime import devices, program, tensor_files

logger = logging.getLogger("diffdistill")


def stage(job: program.Job) -> None:
    devices.set_up(job.threads)
    data, classes = image_files.load(job.input("train")), job.config["subclasses"]
    values = features.of_images("classifier", job.input("features"), data.images, devices.best_device())
    parts = subclasses.divided(torch.from_numpy(values), data.labels, len(data.classes), classes, job.config["seed"])
    logger.info("images by part of their class: %s", parts.bincount().tolist())
    tensor_files.save(job.output("subclasses"), {"parts": parts}, {"classes": data.metadata["classes"]})


def main(argv: Sequence[str] | None = None) -> int:
    return program.run(stage, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
