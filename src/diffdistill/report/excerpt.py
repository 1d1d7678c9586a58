"""The first images of each class of a set, without reading the rest of a file that may hold gigabytes."""

import json
import math
from pathlib import Path

import torch

from diffdistill.data import images as image_files
from diffdistill.data.images import ImageSet
from diffdistill.errors import UserError


def first_of_each_class(path: Path, per_class: int, most_classes: int) -> ImageSet:
    """At most per_class images of each of the first most_classes classes, by class, in the file's order.

    Raises UserError naming the file if it is missing, broken, or holds no labelled images.
    """
    labels, metadata = image_files.load_labels_and_metadata(path)
    classes = json.loads(metadata["classes"])
    members = [torch.nonzero(labels == label)[:per_class, 0] for label in range(min(most_classes, len(classes)))]
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
