"""What a reader of one form finds in a file, before classes, shape and range are checked."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from diffdistill.data import archives
from diffdistill.data.raw import Array
from diffdistill.errors import UserError

BLOCK_BYTES = 1 << 24
"""Bytes of images that are in memory at once."""
IMAGE_NAMES = (
    "images",
    "image",
    "img",
    "imgs",
    "x",
    "data",
    "pixels",
    "image_syn",
    "images_syn",
    "syn_images",
    "arr_0",
)
LABEL_NAMES = ("labels", "label", "y", "target", "targets", "label_syn", "labels_syn", "syn_labels", "arr_1")
CLASS_NAMES = ("classes", "class_names", "label_names")


@dataclass(frozen=True)
class Contents:
    """The images and labels of a file as they are there."""

    form: str
    shape: tuple[int, ...]
    """(N, ...): of the images; the axes' meaning is found from the real images' shape."""
    dtype: np.dtype[Any]
    """Of the values in the file; bfloat16 is said by `epsilon` and comes as float32."""
    blocks: Callable[[], Iterator[Array]]
    """The images in the file's order, some rows at a time; each call starts from the first."""
    labels: Array | None
    """(N,) or (N, 1) numbers or names, or (N, K) rows of soft labels; None: the file has no labels."""
    names: list[str] | None = None
    """Of labels 0, 1, ...; None: the file does not say."""
    epsilon: float = 0.0
    """Relative rounding of the file's floats."""
    by_position: bool = False
    """Without labels, the images stand in blocks of equal length, one per class."""


def rows_per_block(shape: tuple[int, ...], itemsize: int) -> int:
    """How many images one block holds."""
    return max(1, BLOCK_BYTES // max(1, math.prod(shape[1:]) * itemsize))


def in_blocks(values: Array) -> Callable[[], Iterator[Array]]:
    """Blocks of an array that is in memory."""
    rows = rows_per_block(values.shape, values.dtype.itemsize)
    return lambda: (values[first : first + rows] for first in range(0, len(values), rows))


def refuse_claims(path: Path, count: int) -> None:
    """Raises UserError if a file claims more pixels than its size makes plausible, as a bomb does."""
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) if path.is_dir() else 0
    size = size or path.stat().st_size
    if count > max(archives.RATIO_FREE, archives.RATIO_LIMIT * size):
        raise UserError(f"{path}: refused, because its {size} bytes claim {count} pixels, which is not plausible")


def find(path: Path, shapes: dict[str, tuple[int, ...]], wanted: str | None, known: tuple[str, ...], what: str) -> str:
    """The name of the array of images or labels among others.

    wanted: the name if it was given. Raises UserError if it is absent, or if none or several could be meant.
    """
    listed = ", ".join(f"'{name}' {shape}" for name, shape in list(shapes.items())[:10]) or "nothing"
    if wanted is not None:
        if wanted not in shapes:
            raise UserError(f"{path}: has no '{wanted}' for the {what}; it holds {listed}")
        return wanted
    found = [name for name in shapes if name.lower() in known]
    if len(found) == 1:
        return found[0]
    if not found:
        raise UserError(f"{path}: which array holds the {what} is not clear; it holds {listed}; give its name")
    raise UserError(f"{path}: '{found[0]}' and '{found[1]}' could both be the {what}; give the name of the right one")


def find_optional(shapes: dict[str, tuple[int, ...]], known: tuple[str, ...]) -> str | None:
    """The first of the arrays with one of the known names."""
    return next((name for name in shapes if name.lower() in known), None)
