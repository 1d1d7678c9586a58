"""The first images of some classes of a file, without reading the rest of it."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch

from diffdistill.data import image_files
from diffdistill.data.image_files import ImageSet


def evenly_spaced(count: int, most: int) -> list[int]:
    """The numbers below `count`, or `most` of them at equal intervals."""
    shown = min(count, most)
    return [place * count // shown for place in range(shown)]


def titles(metadata: dict[str, str]) -> list[str]:
    """The classes for readers: their titles if the source has some, otherwise their names."""
    names: list[str] = json.loads(metadata.get("class_titles", metadata["classes"]))
    return names


def first_images(path: Path, classes: Sequence[int], per_class: int) -> ImageSet:
    """At most per_class images of each of the classes, in the file's order.

    Raises UserError naming the file if it is missing, broken, or holds no labelled images.
    """
    labels, metadata = image_files.load_labels_and_metadata(path)
    rows = [row for label in classes for row in torch.nonzero(labels == label)[:per_class, 0].tolist()]
    return ImageSet(image_files.load_rows(path, rows), labels[rows], json.loads(metadata["classes"]), metadata)
