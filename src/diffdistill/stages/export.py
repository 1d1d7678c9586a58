"""Reads the distilled set; writes it as a zip of PNGs, as Parquet, or as the challenge's tensor."""

import logging

from diffdistill.classify import training
from diffdistill.config import stages
from diffdistill.data import export, image_files
from diffdistill.runtime.program import Job

logger = logging.getLogger(__name__)


def main(job: Job[stages.Export]) -> None:
    data, path, settings = image_files.load(job.input("distilled")), job.output("file"), job.settings
    if settings.form == "images":
        export.write_images(path, data)
    elif settings.form == "parquet":
        export.write_parquet(path, data)
    else:
        mean, std = training.statistics(settings.protocol, data.images)
        export.write_challenge(path, data, mean, std, settings.challenge_per_class)
        logger.info("normalised by mean %s and std %s", mean, std)
    logger.info("%d images of %d classes exported", len(data.labels), len(data.classes))
