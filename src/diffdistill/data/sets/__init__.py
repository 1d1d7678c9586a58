"""Finished sets of labelled images, in the forms that people have, read into the workflow's one format.

A new form is a module with a function that returns `Contents`, an entry in FORMS, and its name in `config.generator`.
"""

import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from diffdistill.config.generator import SamplesGenerator
from diffdistill.data import image_files
from diffdistill.data.sets import contents, pictures, stored, tensors, values
from diffdistill.data.sets.classes import Labels, RealSet, matched
from diffdistill.data.sets.contents import Contents
from diffdistill.data.sets.headers import add_tensor, metadata_of, real_set
from diffdistill.errors import UserError

__all__ = ["FORMS", "Form", "Found", "RealSet", "form_of", "metadata_of", "read", "real_set", "size_in_bytes"]


@dataclass(frozen=True)
class Form:
    """A form of files: `reads` finds images and labels, `recognises` sees by a path and its first bytes."""

    reads: Callable[[Path, SamplesGenerator], Contents]
    recognises: Callable[[Path, bytes], bool]


@dataclass(frozen=True)
class Found:
    """What was read."""

    form: str
    images: int
    bytes: int
    """Of the file, its labels' file included, or of all files of the folder."""
    soft_labels: bool
    line: str
    """What was found, for a log and an account."""


def _members(path: Path) -> list[str]:
    """Names in a zip; of anything else none."""
    if path.is_dir() or not zipfile.is_zipfile(path):
        return []
    with zipfile.ZipFile(path) as archive:
        return [member.filename for member in archive.infolist() if not member.is_dir()]


def _is_parquet(path: Path, start: bytes) -> bool:
    return start[:4] == b"PAR1" or (path.is_dir() and any(path.glob("*.parquet")))


def _is_torch(path: Path, start: bytes) -> bool:
    return start[:1] == b"\x80" or any(name.rpartition("/")[2] == "data.pkl" for name in _members(path))


def _is_npz(path: Path, start: bytes) -> bool:
    names = _members(path)
    return bool(names) and all(name.endswith(".npy") for name in names)


def _is_safetensors(path: Path, start: bytes) -> bool:
    return start[8:9] == b"{"


def _is_folder(path: Path, start: bytes) -> bool:
    # a run of zeros is a tar's end
    return path.is_dir() or zipfile.is_zipfile(path) or (any(start) and tarfile.is_tarfile(path))


FORMS: dict[str, Form] = {
    "parquet": Form(pictures.read_parquet, _is_parquet),
    "tensors": Form(tensors.read, _is_torch),
    "npz": Form(stored.read_npz, _is_npz),
    "safetensors": Form(stored.read_safetensors, _is_safetensors),
    "folder": Form(pictures.read_folder, _is_folder),
}
"""In the order in which they are tried: whatever else is a zip is taken for a folder's."""


def form_of(path: Path) -> str:
    """The form of a file by its content. Raises UserError if it is missing or of none."""
    if not path.exists():
        raise UserError(f"{path}: no such file or folder; give the place of the set")
    start = b""
    if not path.is_dir():
        with path.open("rb") as file:
            start = file.read(9)
    try:
        return next(name for name, form in FORMS.items() if form.recognises(path, start))
    except (StopIteration, zipfile.BadZipFile, tarfile.TarError) as error:
        raise UserError(
            f"{path}: none of the forms that are read ({', '.join(FORMS)}) by its content; get it again, or convert it"
        ) from error


def size_in_bytes(*paths: Path) -> int:
    """Of files, and of all files below folders."""
    return sum(
        file.stat().st_size
        for path in paths
        for file in (path.rglob("*") if path.is_dir() else [path])
        if file.is_file()
    )


def read(path: Path, block: SamplesGenerator, real: RealSet, output: Path, metadata: Mapping[str, str]) -> Found:
    """Write the set in `path` to `output`: images uint8 (N, C, H, W), int64 labels, and soft_labels where there are.

    block: how the file is to be understood. metadata: what the output says of itself, class names as in `real`.
    Images are streamed: memory does not grow with their number, except for torch's files before 1.6. Raises UserError
    if the file is missing, broken, holds code, or is not understood without a doubt.
    """
    form = block.format if block.format != "auto" else form_of(path)
    if not path.exists():
        raise UserError(f"{path}: no such file or folder; give the place of the set")
    found = FORMS[form].reads(path, block)
    count = found.shape[0] if found.shape else 0
    if not count:
        raise UserError(f"{path}: holds no images")
    contents.refuse_claims(path, int(np.prod(found.shape, dtype=np.float64)))
    labels = _labels(path, found, block, real)
    arrange = values.layout(path, found.shape, real.image_shape)
    scale = values.scale(path, found, arrange, block)
    with image_files.Writer(output, real.image_shape, metadata) as writer:
        first = 0
        for some in values.blocks(path, found, arrange):
            images = values.with_channels(path, first, scale.to_bytes(some), real.image_shape[0])
            writer.append(images, labels.hard[first : first + len(images)])
            first += len(images)
        writer.finish()
    if labels.soft is not None:
        add_tensor(output, "soft_labels", torch.from_numpy(labels.soft))
    size = size_in_bytes(path, *([Path(block.labels)] if block.labels else []))
    return Found(form, count, size, labels.soft is not None, _line(path, found, labels, scale, real))


def _labels(path: Path, found: Contents, block: SamplesGenerator, real: RealSet) -> Labels:
    array = found.labels
    if block.labels is not None:
        array = tensors.read_labels(Path(block.labels))
    elif array is None and not found.by_position:
        raise UserError(f"{path}: has no labels; give a second file with them")
    logits = block.soft_labels == "logits"
    return matched(path, array, found.shape[0], found.names, block.classes, real, logits=logits)


def _line(path: Path, found: Contents, labels: Labels, scale: values.Scale, real: RealSet) -> str:
    low, high = int(labels.counts.min()), int(labels.counts.max())
    clipped = f", {100 * scale.clipped:.2g} % of the values clipped" if scale.clip else ""
    return (
        f"{path}: {found.form}, {found.shape[0]} images of {real.image_shape}, {scale.found}{clipped}; "
        f"{low if low == high else f'{low}..{high}'} per class in {len(real.classes)} classes, {labels.how}"
        f"{', soft labels: the most probable class is used' if labels.soft is not None else ''}"
    )
