"""Reads the drawn images; writes the distilled set, those of them that the method keeps."""

import json
import logging
import sys
from collections.abc import Sequence

from diffdistill import config
from diffdistill.data import images as image_files
from diffdistill.data import selection
from diffdistill.runtime import program

logger = logging.getLogger("diffdistill")


def stage(job: program.Job) -> None:
    block = config.read(config.Select, job.config)
    samples = image_files.load(job.input("samples"))
    if block.images is None:
        kept = selection.every(samples.labels)
    else:
        kept = selection.at_random(samples.labels, block.images, block.seed)
    logger.info("method %s keeps %d of %d images", block.method, len(kept), len(samples.labels))
    metadata = {**samples.metadata, "selected_by": json.dumps(block.model_dump(mode="json"), sort_keys=True)}
    image_files.save(job.output("distilled"), samples.images[kept], samples.labels[kept], metadata)


def main(argv: Sequence[str] | None = None) -> int:
    return program.run(stage, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
