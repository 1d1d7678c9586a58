"""The kinds of sources, and what reads each."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from diffdistill.config.source import Source
from diffdistill.data import cifar, digits, folder, idx, names, splits, tinyimagenet
from diffdistill.data.raw import Array, RawData, SourceError
from diffdistill.errors import UserError

logger = logging.getLogger(__name__)

Reader = Callable[[Path, Source], RawData]
"""Reads the archive or folder at a path, as its block of the config says."""


def _folder(path: Path, source: Source) -> RawData:
    named = None if source.splits is None else source.splits.named
    return folder.read(path, size=source.size, skip=source.skip, splits=named, bits=source.bits)


READERS: Mapping[str, Reader] = {
    "digits": lambda path, source: digits.read(),
    "cifar100": lambda path, source: cifar.read(path),
    "tinyimagenet": lambda path, source: tinyimagenet.read(path),
    "folder": _folder,
    "idx": lambda path, source: idx.read(path),
}
"""Reader by kind. Another kind is a module that reads, an entry here, and its name in config/source.py."""


def read(path: Path | str, source: Source) -> RawData:
    """Everything that a source publishes: two classes or more, each with train images; square images of one shape.

    Raises UserError if it does not, naming all classes at fault. Warns of classes that another split lacks.
    """
    raw = READERS[source.kind](Path(path), source)
    raw = _with_train_images(raw, source.empty_classes)
    names.composed(raw.classes, "classes")
    shape = raw.train.images.shape[1:]
    if shape[1] != shape[2]:
        raise SourceError(f"images are {shape[2]}x{shape[1]} pixels, squares are needed; give the side", "size")
    if len(raw.classes) < 2:
        raise UserError(f"the only class is {raw.classes}; at least two are needed to tell them apart")
    for name, split in raw.splits.items():
        if split.images.shape[1:] != shape:
            raise UserError(
                f"{name} images are {split.images.shape[1:]}, but train images {shape}; give both in one size and kind"
            )
        lacking = np.flatnonzero(np.bincount(split.labels, minlength=len(raw.classes)) == 0)
        if len(lacking):
            logger.warning("the %s split has no image of %s", name, _named(raw, lacking))
    return raw


def _with_train_images(raw: RawData, empty_classes: str) -> RawData:
    """The data without the classes of which train has no image, if these are to be left out."""
    empty = np.flatnonzero(np.bincount(raw.train.labels, minlength=len(raw.classes)) == 0)
    if not len(empty):
        return raw
    if empty_classes == "refuse":
        raise SourceError(
            f"no train image of {_named(raw, empty)}; add images, remove the class, or drop such classes",
            "empty_classes",
        )
    logger.warning("dropped, because it has no train image: %s", _named(raw, empty))
    return raw.without_empty_classes()


def _named(raw: RawData, labels: Array) -> str:
    named = ", ".join(f"'{raw.classes[label]}'" for label in labels[: splits.NAMED])
    more = f" and {len(labels) - splits.NAMED} more" if len(labels) > splits.NAMED else ""
    return f"class {named}" if len(labels) == 1 else f"{len(labels)} classes: {named}{more}"
