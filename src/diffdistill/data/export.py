"""The forms in which a set of labelled images leaves the workflow; made twice they are the same bytes."""

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from diffdistill.data.image_files import ImageSet
from diffdistill.errors import UserError
from diffdistill.runtime import files

_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))}
ROWS = 1000
"""Of a row group of the Parquet file."""


def folder_names(classes: list[str]) -> list[str]:
    """A folder's name for each class: letters, digits, - and _, which every file system takes, told apart by all.

    Readers of image folders number the classes by sorted name. Where the names alone would give another order than
    ours, or two the same folder, all are numbered: 007_cat.
    """
    plain = [re.sub(r"[^A-Za-z0-9_-]+", "_", name)[:100] or "_" for name in classes]
    plain = [name + "_" if name.lower() in _RESERVED else name for name in plain]
    if plain == sorted(plain) and len({name.lower() for name in plain}) == len(plain):
        return plain
    digits = len(str(len(classes) - 1))
    return [f"{label:0{digits}d}_{name}" for label, name in enumerate(plain)]


def png(image: Tensor) -> bytes:
    """uint8 (C, H, W) with one or three channels, losslessly. Raises UserError for another number of channels."""
    if image.shape[0] not in (1, 3):
        raise UserError(f"images have {image.shape[0]} channels; a PNG takes 1 or 3")
    pixels = image.squeeze(0) if image.shape[0] == 1 else image.permute(1, 2, 0)
    buffer = io.BytesIO()
    Image.fromarray(pixels.contiguous().numpy()).save(buffer, "PNG")
    return buffer.getvalue()


def _places(labels: Tensor) -> Iterator[tuple[int, int]]:
    """Label of every image, and how many of its class stand before it."""
    seen: dict[int, int] = {}
    for label in labels.tolist():
        place = seen.get(label, 0)
        seen[label] = place + 1
        yield label, place


def write_images(path: Path | str, data: ImageSet) -> None:
    """A zip of train/CLASS/PLACE.png, numbered within its class in the set's order. Raises UserError where png does."""
    folders, digits = folder_names(data.classes), len(str(max(1, len(data.labels) - 1)))
    with files.replacing(Path(path)) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for image, (label, place) in zip(data.images, _places(data.labels), strict=True):
            entry = zipfile.ZipInfo(f"train/{folders[label]}/{place:0{digits}d}.png")  # of 1980, whenever it is made
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, png(image))


def write_parquet(path: Path | str, data: ImageSet) -> None:
    """A row an image in the set's order: `image` (PNG bytes and path) and `label`, as Hugging Face's datasets read it.

    Raises UserError if pyarrow is not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise UserError(f"{path}: needs pyarrow; pip install 'diffdistill[export]', or leave Parquet out") from error
    features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": data.classes}}
    picture = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    schema = pyarrow.schema(
        [("image", picture), ("label", pyarrow.int64())],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )
    with files.replacing(Path(path)) as temporary, parquet.ParquetWriter(temporary, schema) as writer:
        for first in range(0, len(data.labels), ROWS):
            rows = range(first, min(first + ROWS, len(data.labels)))
            pictures = [{"bytes": png(data.images[row]), "path": f"{row}.png"} for row in rows]
            columns = {"image": pictures, "label": data.labels[first : first + ROWS].tolist()}
            writer.write_table(pyarrow.table(columns, schema=schema))


def by_class(labels: Tensor, num_classes: int, per_class: int | None = None) -> Tensor:
    """Indices (K n,) of the first n images of class 0, then of class 1, …; None: n of the smallest class.

    Raises UserError if a class has no image, or fewer than per_class.
    """
    counts = labels.bincount(minlength=num_classes)
    smallest = int(counts.argmin())
    wanted = per_class or int(counts[smallest])
    if counts[smallest] < max(1, wanted):
        raise UserError(
            f"class {smallest} has {counts[smallest]} images, {max(1, wanted)} are needed of each; "
            "ask for fewer per class, or sample or select more"
        )
    return torch.cat([(labels == label).nonzero().flatten()[:wanted] for label in range(num_classes)])


def write_challenge(
    path: Path | str, data: ImageSet, mean: list[float], std: list[float], per_class: int | None
) -> None:
    """The contest's file: one float32 tensor (K n, 3, H, W), normalised once, n images of each class in blocks.

    Its reader takes labels from the position and normalises nothing. mean, std: per channel, of images in 0..1.
    """
    chosen = by_class(data.labels, len(data.classes), per_class)
    centre, spread = (torch.tensor(values).reshape(-1, 1, 1) for values in (mean, std))
    images = ((data.images[chosen].float() / 255 - centre) / spread).expand(-1, 3, -1, -1).contiguous()
    # through an open file: given a path, torch writes its random name into the archive
    with files.replacing(Path(path)) as temporary, temporary.open("wb") as file:
        torch.save(images, file)
