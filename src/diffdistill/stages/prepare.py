"""Reads an archive, a folder or the bundled digits; writes train, validation and test splits: images and labels.

Validation is cut from the published training images before anything else happens; where no test split is published,
test is cut from them first.
"""

import json
import logging
from pathlib import Path

import numpy as np

from diffdistill import config
from diffdistill.config import stages
from diffdistill.data import cifar, digits, fetching, folder, idx, image_files, splits, tinyimagenet
from diffdistill.data.raw import Array, Images, RawData
from diffdistill.errors import UserError
from diffdistill.runtime.program import Job

logger = logging.getLogger(__name__)

ROWS = 1000
"""Images that are in memory at once, where the reader leaves them on disk."""


def main(job: Job[stages.Prepare]) -> None:
    block = job.settings.source
    raw = _read(block, job.inputs.get("source", []))
    if raw.train_images.shape[2] != raw.train_images.shape[3]:
        raise UserError(f"source: images are {raw.train_images.shape[2:]} pixels, squares are needed; give source.size")
    if len(raw.classes) < 2:
        raise UserError(f"source: the only class is {raw.classes}; two at least are needed to tell them apart")
    images, labels = raw.train_images, raw.train_labels
    rest = np.arange(len(labels))
    parts: dict[str, tuple[Images, Array, Array]] = {}
    if raw.test_images is not None and raw.test_labels is not None:
        if raw.test_images.shape[1:] != images.shape[1:]:
            raise UserError(
                f"source: test images are {raw.test_images.shape[1:]}, but train images {images.shape[1:]}; "
                "give both in one size and kind"
            )
        parts["test"] = (raw.test_images, raw.test_labels, np.arange(len(raw.test_labels)))
    elif block.test_per_class is None:
        raise UserError(f"source.test_per_class is missing: {block.kind} publishes no test split; say how many to cut")
    else:
        rest, cut = splits.cut(labels, per_class=block.test_per_class, seed=block.seed)
        parts["test"] = (images, labels, cut)
    train, cut = splits.cut(labels[rest], per_class=block.validation_per_class, seed=block.seed + 1)
    parts |= {"validation": (images, labels, rest[cut]), "train": (images, labels, rest[train])}
    for name, (part_images, part_labels, rows) in parts.items():
        metadata = {
            "classes": json.dumps(raw.classes),
            "source": block.kind,
            "source_checksum": raw.checksum,
            "split": name,
            **({"class_titles": json.dumps(raw.class_titles)} if raw.class_titles else {}),
            # where the archive lay does not matter: its checksum tells what it is
            "cut": json.dumps(block.model_dump(mode="json", exclude={"path", "urls", "checksum"}), sort_keys=True),
        }
        shape = part_images.shape[1:]
        with image_files.Writer(job.output(name), shape, metadata) as writer:
            for some in np.split(rows, range(ROWS, len(rows), ROWS)):
                writer.append(part_images[some], part_labels[some])
            writer.finish()
        logger.info("%s: %d images of %s, %d classes", name, len(rows), shape, len(raw.classes))


def _read(block: config.Source, files: list[Path]) -> RawData:
    if block.kind == "digits":
        return digits.read()
    if len(files) != 1:
        raise UserError(f"--in source=PATH must be given exactly once for {block.kind}, found {len(files)}")
    path = files[0]
    if block.checksum is not None and path.is_file():
        fetching.require(path, block.checksum)
    if block.kind == "folder":
        return folder.read(path, size=block.size)
    return {"cifar100": cifar.read, "tinyimagenet": tinyimagenet.read, "idx": idx.read}[block.kind](path)
