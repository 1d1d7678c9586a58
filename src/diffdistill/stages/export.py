"""Reads the distilled set; writes it as a zip of PNGs, as Parquet, or as the challenge's tensor."""

import logging
import sys
from collections.abc import Sequence

from diffdistill import config
from diffdistill.classify import training
from diffdistill.data import export, image_files
from diffdistill.runtime import program

logger = logging.getLogger("diffdistill")


def stage(job: program.Job) -> None:
    data = image_files.load(job.input("distilled"))
    if "images" in job.outputs:
        export.write_images(job.output("images"), data)
    if "parquet" in job.outputs:
        export.write_parquet(job.output("parquet"), data)
    if "challenge" in job.outputs:
        protocol = training.Protocol(**config.read(config.Protocol, job.config["protocol"]).model_dump())
        mean, std = training.statistics(protocol, data.images)
        export.write_challenge(job.output("challenge"), data, mean, std, job.config["challenge_per_class"])
        logger.info("normalised by mean %s and std %s", mean, std)
    logger.info("%d images of %d classes exported", len(data.labels), len(data.classes))


def main(argv: Sequence[str] | None = None) -> int:
    return program.run(stage, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
