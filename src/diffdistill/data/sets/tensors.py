"""torch's `.pt` and `.pth`: one tensor of images, or images and labels as condensation methods save them.

DC, DSA, DM: {"data": [[images, labels], ...], "accs_all_exps": ...}, one pair per repetition. MTT and DATM: one file of
images and one of labels, DATM's soft. The ECCV 2024 challenge: one float tensor, normalised, in blocks of one class.
Code in a file is never run: torch.load(weights_only=True) knows tensors and containers, and here NumPy's numbers, which
DC's accuracies are.
"""

import pickle
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from diffdistill.config.generator import SamplesGenerator
from diffdistill.data.raw import Array
from diffdistill.data.sets import contents
from diffdistill.data.sets.contents import Contents
from diffdistill.errors import UserError

MAPPED_BYTES = 1 << 26
"""Bytes of float32 images that are read of one mapping."""
_PAIRS = "data"
"""The key below which DC and its successors keep one pair of images and labels per repetition."""


def _dtype(code: str, align: bool = False, copy: bool = False) -> np.dtype[Any]:
    """A data type of numbers of its own: unpickling sets its byte order, which must not reach NumPy's."""
    dtype = np.dtype(code, align=bool(align), copy=True)
    if dtype.kind not in "buif":
        raise pickle.UnpicklingError(f"a number of {dtype}")
    return dtype


def _scalar(dtype: np.dtype[Any], data: bytes) -> Any:
    if not isinstance(dtype, np.dtype) or dtype.kind not in "buif" or len(data) != dtype.itemsize:
        raise pickle.UnpicklingError("a number of an unknown type")
    return np.frombuffer(data, dtype)[0]


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"text in {encoding}")
    return text.encode("latin1")


_NUMBERS: list[Any] = [
    (_scalar, "numpy.core.multiarray.scalar"),
    (_scalar, "numpy._core.multiarray.scalar"),
    (_dtype, "numpy.dtype"),
    (_encode, "_codecs.encode"),
    *{type(np.dtype(code)) for code in ("f8", "f4", "i8", "i4", "?")},
]


def load(path: Path) -> Any:
    """What a file of torch holds, mapped where possible so that memory stays flat.

    Raises UserError if it is broken, or asks for anything but tensors, containers, text and numbers.
    """
    try:
        with torch.serialization.safe_globals(_NUMBERS):
            # the format before torch 1.6 cannot be mapped
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except (FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # a hostile or broken pickle can raise anything
        reason = " ".join(str(error).split())
        asked = reason.partition(" GLOBAL ")[2].partition(" ")[0]
        what = f"it asks for {asked}, which is code" if asked else reason[:150] or type(error).__name__
        raise UserError(f"{path}: not a file of tensors ({what}); save images and labels as plain tensors") from error


def read(path: Path, block: SamplesGenerator) -> Contents:
    """Images with labels, or without.

    Raises UserError if the file is broken, holds code, or which tensors hold images and labels is not clear.
    """
    images, labels, names = _parts(path, load(path), block)
    stacked = _stacked(path, images)
    shape, blocks = tuple(stacked.shape), partial(_blocks, stacked)
    if zipfile.is_zipfile(path) and isinstance(images, Tensor):
        blocks = partial(_mapped_blocks, path, block, shape)
    if isinstance(labels, Tensor):
        contents.refuse_claims(path, labels.numel() * labels.element_size())
    return Contents(
        "tensors",
        shape,
        _numpy_dtype(stacked),
        blocks,
        None if labels is None else as_array(path, labels),
        names,
        torch.finfo(stacked.dtype).eps if stacked.dtype.is_floating_point else 0.0,
        by_position=labels is None,
    )


def _parts(path: Path, value: Any, block: SamplesGenerator) -> tuple[Any, Any, list[str] | None]:
    """Images, labels and class names, of which the last two may be None."""
    if isinstance(value, dict) and isinstance(value.get(_PAIRS), (list, tuple)) and value[_PAIRS]:
        pairs = value[_PAIRS]
        if all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in pairs):
            return *_repetition(path, pairs, block.experiment), None
    if isinstance(value, dict):
        shapes = {str(name): tuple(getattr(one, "shape", ())) for name, one in value.items()}
        images = contents.find(path, shapes, block.images_key, contents.IMAGE_NAMES, "images")
        names = value.get(contents.find_optional(shapes, contents.CLASS_NAMES))
        if names is not None and not (isinstance(names, (list, tuple)) and all(isinstance(one, str) for one in names)):
            raise UserError(f"{path}: its class names are no list of text; save them as one")
        labels = None
        if block.labels is None:
            labels = value[contents.find(path, shapes, block.labels_key, contents.LABEL_NAMES, "labels")]
        return value[images], labels, None if names is None else list(names)
    if isinstance(value, (list, tuple)) and len(value) == 2 and all(isinstance(one, Tensor) for one in value):
        images, labels = value
        if images.ndim > 2 >= labels.ndim:
            return images, labels if block.labels is None else None, None
    if isinstance(value, Tensor) or (isinstance(value, (list, tuple)) and value):
        return value, None, None
    raise UserError(
        f"{path}: holds {type(value).__name__}; a tensor of images, or a pair of images and labels, is needed"
    )


def _repetition(path: Path, pairs: Any, wanted: int | None) -> tuple[Any, Any]:
    if wanted is None and len(pairs) > 1:
        raise UserError(f"{path}: holds {len(pairs)} repetitions of the set; say which one (0..{len(pairs) - 1})")
    if wanted is not None and wanted >= len(pairs):
        raise UserError(f"{path}: has no repetition {wanted}; it holds {len(pairs)}, counted from 0")
    images, labels = pairs[wanted or 0]
    return images, labels


def _stacked(path: Path, images: Any) -> Tensor:
    if isinstance(images, (list, tuple)):
        shapes = {tuple(one.shape) if isinstance(one, Tensor) else type(one).__name__ for one in images}
        if len(shapes) != 1 or not isinstance(images[0], Tensor):
            shown = ", ".join(sorted(map(str, shapes))[:3])
            raise UserError(f"{path}: its images differ in shape or are no tensors ({shown}); save them as one tensor")
        contents.refuse_claims(path, len(images) * images[0].numel())
        images = torch.stack([one.detach() for one in images])
    if not isinstance(images, Tensor) or images.layout != torch.strided or images.is_quantized:
        raise UserError(f"{path}: the images are {type(images).__name__}; a plain tensor is needed")
    contents.refuse_claims(path, images.numel())
    return images.detach()


def _numpy_dtype(values: Tensor) -> np.dtype[Any]:
    if values.dtype == torch.bfloat16:
        return np.dtype(np.float32)
    try:
        return torch.empty(0, dtype=values.dtype).numpy().dtype
    except TypeError:
        return np.dtype(object)  # refused with its name by whoever looks at the range


def _mapped_blocks(path: Path, block: SamplesGenerator, shape: tuple[int, ...]) -> Iterator[Array]:
    """Blocks of a mapped file, mapped anew now and then: what was read of a mapping counts as memory until it ends."""
    rows = MAPPED_BYTES // contents.BLOCK_BYTES * contents.rows_per_block(shape, 4)
    for first in range(0, shape[0], rows):
        yield from _blocks(_stacked(path, _parts(path, load(path), block)[0])[first : first + rows])


def _blocks(values: Tensor) -> Iterator[Array]:
    rows = contents.rows_per_block(tuple(values.shape), values.element_size())
    for first in range(0, len(values), rows):
        some = values[first : first + rows]
        yield (some.float() if some.dtype == torch.bfloat16 else some).numpy()


def as_array(path: Path, labels: Any) -> Array:
    """Labels (N,), (N, 1) or (N, K) of a tensor or a list of numbers or names."""
    if isinstance(labels, Tensor):
        labels = labels.detach()
        array: Array = (labels.float() if labels.dtype in (torch.bfloat16, torch.float16) else labels).numpy().copy()
        return array
    if isinstance(labels, (list, tuple)) and labels:
        if all(isinstance(one, Tensor) and one.ndim <= 1 for one in labels):
            if len({tuple(one.shape) for one in labels}) == 1:
                return as_array(path, torch.stack(list(labels)))
        elif all(isinstance(one, str) for one in labels) or all(type(one) is int for one in labels):
            return np.array(labels)
    raise UserError(
        f"{path}: the labels are {type(labels).__name__}; a tensor, or a list of numbers or names is needed"
    )


def read_labels(path: Path) -> Array:
    """Labels of a file of their own: torch's, `.npy`, or text with one number or name per line.

    Raises UserError if it is missing, broken or holds something else.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; give the labels' place")
    with path.open("rb") as file:
        start = file.read(6)
    if start == b"\x93NUMPY":
        try:
            return np.asarray(np.load(path, allow_pickle=False))
        except (ValueError, OSError, EOFError) as error:
            raise UserError(f"{path}: not a whole array of numbers or text ({error}); save it again") from error
    if start[:1] == b"\x80" or start[:2] == b"PK":
        value = load(path)
        if isinstance(value, Tensor):
            contents.refuse_claims(path, value.numel() * value.element_size())
        return as_array(path, value)
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: neither .pt, .npy nor UTF-8 text ({error.reason}); save the labels again") from error
    stripped = [line.strip() for line in lines[: -1 if not lines[-1].strip() else None]]
    if not stripped or not all(stripped):
        raise UserError(f"{path}: line {stripped.index('') + 1 if stripped else 1} is empty; give one label per line")
    if all(line.removeprefix("-").isascii() and line.removeprefix("-").isdigit() for line in stripped):
        return np.array([int(line) for line in stripped])
    return np.array(stripped)
