"""What every reader returns: the images, labels and class names as published."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from diffdistill.errors import UserError

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class RawData:
    """Images uint8 (N, C, H, W); labels int64 (N,), indices into classes; test is None where none is published."""

    train_images: Array
    train_labels: Array
    test_images: Array | None
    test_labels: Array | None
    classes: list[str]
    """Names in sorted order: the one order of classes there is."""
    checksum: str
    """Hexadecimal SHA-256 of the source."""
    class_titles: list[str] | None = None
    """For people, in the order of classes, where the names are codes."""


def in_sorted_order(names: list[str], labels: Array, source: str) -> tuple[list[str], Array]:
    """Sorted names, and labels (N,) into `names` turned into int64 labels into those.

    Raises UserError if a name stands twice or a label has no name; `source` says where they come from.
    """
    classes = sorted(names)
    if len(set(classes)) != len(classes):
        raise UserError(f"{source}: a class name stands twice; every class needs a name of its own")
    labels = np.asarray(labels)
    if len(labels) and not 0 <= labels.min() <= labels.max() < len(names):
        raise UserError(f"{source}: labels {labels.min()}..{labels.max()}, but {len(names)} class names; name them all")
    position = {name: index for index, name in enumerate(classes)}
    return classes, np.array([position[name] for name in names], dtype=np.int64)[labels]
