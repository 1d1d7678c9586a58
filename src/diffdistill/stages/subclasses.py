"""Reads the train split and the classifier; writes the sub-class of each train image."""

import logging

import torch

from diffdistill.config import stages
from diffdistill.data import image_files
from diffdistill.diffusion import subclasses
from diffdistill.errors import UserError
from diffdistill.metrics import features
from diffdistill.runtime import devices
from diffdistill.runtime.program import Job

logger = logging.getLogger(__name__)


def main(job: Job[stages.Subclasses]) -> None:
    devices.set_up(job.threads)
    data, settings = image_files.load(job.input("train")), job.settings
    values = features.of_images("classifier", job.input("classifier"), data.images, devices.best_device())
    try:
        parts = subclasses.cluster(
            torch.from_numpy(values), data.labels, len(data.classes), settings.subclasses, settings.seed
        )
    except UserError as error:
        raise UserError(f"{error}; lower train.subclasses") from error
    logger.info("images per sub-class: %s", parts.bincount().tolist())
    subclasses.save(job.output("subclasses"), parts, data.metadata["classes"])
