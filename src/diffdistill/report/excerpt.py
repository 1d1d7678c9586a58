"""The first images of each class of a set, without reading the rest of a file that may hold gigabytes."""

import json
import math
from pathlib import Path

import torch

from diffdistill.data import image_files
from diffdistill.data.image_files import ImageSet
from diffdistill.errors import UserError


def spread(classes: int, most: int) -> list[int]:
    """All labels where there are no more than `most`, else that many at equal intervals."""
    count = min(classes, most)
    return [place * classes // count for place in range(count)]


def titles(metadata: dict[str, str]) -> list[str]:
    """The classes' names for people: their titles where the source has some."""
    names: list[str] = json.loads(metadata.get("class_titles", metadata["classes"]))
    return names


def titles_of(path: Path) -> list[str]:
    """The same of a file. Raises UserError naming the file if it is missing, broken, or holds no labelled images."""
    return titles(image_files.load_labels_and_metadata(path)[1])


def first_of_each_class(path: Path, per_class: int, most_classes: int) -> ImageSet:
    """At most per_class images of each class, by class, in the file's order; of too many classes a spread of them.

    Raises UserError naming the file if it is missing, broken, or holds no labelled images.
    """
    labels, metadata = image_files.load_labels_and_metadata(path)
    classes = json.loads(metadata["classes"])
    members = [torch.nonzero(labels == label)[:per_class, 0] for label in spread(len(classes), most_classes)]
    places = torch.cat(members).tolist()
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        entry = json.loads(file.read(length)).get("images", {})
        shape = tuple(entry.get("shape", ()))
        if entry.get("dtype") != "U8" or len(shape) != 4 or shape[0] != len(labels):
            raise UserError(f"{path}: not a set of labelled images; make it again")
        size, begin = math.prod(shape[1:]), 8 + length + entry["data_offsets"][0]
        data = bytearray()
        for place in places:
            file.seek(begin + place * size)
            data += file.read(size)
    if len(data) != len(places) * size:
        raise UserError(f"{path}: ends before its last image; make it again")
    images = torch.frombuffer(data, dtype=torch.uint8) if data else torch.empty(0, dtype=torch.uint8)
    return ImageSet(images.reshape(-1, *shape[1:]), labels[places], classes, metadata)
