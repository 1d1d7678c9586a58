"""Reads the bundled digits; writes train, validation and test splits of uint8 images and labels.

Validation is cut from the published training images before anything else happens; where no test split is published,
test is cut from them first.
"""

import json
import logging
import sys
from collections.abc import Sequence

from diffdistill import config
from diffdistill.data import images as image_files
from diffdistill.data import sources, splits
from diffdistill.errors import UserError
from diffdistill.runtime import program

logger = logging.getLogger("diffdistill")


def stage(job: program.Job) -> None:
    block = config.read(config.Source, job.config)
    raw = sources.digits()
    images, labels = raw.train_images, raw.train_labels
    parts: dict[str, tuple[sources.Array, sources.Array]] = {}
    if raw.test_images is not None and raw.test_labels is not None:
        parts["test"] = (raw.test_images, raw.test_labels)
    elif block.test_per_class is None:
        raise UserError(f"source.test_per_class is missing: {block.kind} publishes no test split; say how many to cut")
    else:
        rest, cut = splits.cut(labels, per_class=block.test_per_class, seed=block.seed)
        parts["test"] = (images[cut], labels[cut])
        images, labels = images[rest], labels[rest]
    rest, cut = splits.cut(labels, per_class=block.validation_per_class, seed=block.seed + 1)
    parts |= {"validation": (images[cut], labels[cut]), "train": (images[rest], labels[rest])}
    for name, (part_images, part_labels) in parts.items():
        metadata = {
            "classes": json.dumps(raw.classes),
            "source": block.kind,
            "source_checksum": raw.checksum,
            "split": name,
            "cut": json.dumps(block.model_dump(mode="json"), sort_keys=True),
        }
        image_files.save(job.output(name), part_images, part_labels, metadata)
        logger.info("%s: %d images of %s, %d classes", name, len(part_images), part_images.shape[1:], len(raw.classes))


def main(argv: Sequence[str] | None = None) -> int:
    return program.run(stage, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
