"""Arrays whose rows lie one after another in a file: `.npz` and safetensors, read some rows at a time."""

import json
import math
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from diffdistill.config.generator import SamplesGenerator
from diffdistill.data.raw import Array
from diffdistill.data.sets import contents
from diffdistill.data.sets.contents import Contents
from diffdistill.errors import UserError

HEADER_LIMIT = 1 << 24
"""Bytes of a safetensors header."""
BFLOAT16_EPSILON = 2.0**-7
_DTYPES = {"U8": "u1", "I8": "i1", "I16": "<i2", "I32": "<i4", "I64": "<i8", "U16": "<u2", "U32": "<u4", "U64": "<u8",
           "F16": "<f2", "F32": "<f4", "F64": "<f8", "BF16": "<u2", "BOOL": "?"}  # fmt: skip
_BROKEN = (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError)


class _Stored:
    """One array of a file."""

    def __init__(
        self, opened: Callable[[], Any], shape: tuple[int, ...], dtype: np.dtype[Any], bfloat16: bool = False
    ) -> None:
        """opened: gives a context with a file at the array's first byte."""
        if any(length < 0 for length in shape):
            raise ValueError(f"a shape of {shape}")
        self._opened, self.shape, self.dtype, self._bfloat16 = opened, shape, dtype, bfloat16
        self.value_dtype, self.epsilon = (np.dtype(np.float32) if bfloat16 else dtype), 0.0
        if dtype.kind == "f" or bfloat16:
            self.epsilon = BFLOAT16_EPSILON if bfloat16 else float(np.finfo(dtype).eps)

    def blocks(self) -> Iterator[Array]:
        """Some rows at a time. Raises ValueError if the file ends before the array does."""
        rows, left = contents.rows_per_block(self.shape, self.dtype.itemsize), self.shape[0]
        with self._opened() as file:
            while left:
                count = min(rows, left)
                size = count * math.prod(self.shape[1:]) * self.dtype.itemsize
                data = file.read(size)
                if len(data) != size:
                    raise ValueError("it ends before its images do")
                values = np.frombuffer(data, self.dtype).reshape(count, *self.shape[1:])
                if self._bfloat16:  # the upper half of a float32
                    values = (values.astype(np.uint32) << 16).view(np.float32)
                yield values
                left -= count

    def whole(self) -> Array:
        blocks = list(self.blocks())
        return np.concatenate(blocks) if blocks else np.empty(self.shape, self.dtype)


@contextmanager
def _named(path: Path, kind: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except _BROKEN as error:
        if isinstance(error, PermissionError):
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: not a whole {kind} file of numbers ({reason}); get it again") from error


def _contents(path: Path, kind: str, arrays: dict[str, _Stored], block: SamplesGenerator) -> Contents:
    shapes = {name: array.shape for name, array in arrays.items()}
    images_name = contents.find(path, shapes, block.images_key, contents.IMAGE_NAMES, "images")
    images, labels = arrays[images_name], None
    if block.labels is None:
        labels_name = contents.find(path, shapes, block.labels_key, contents.LABEL_NAMES, "labels")
        with _named(path, kind):
            _small(path, arrays[labels_name])
            labels = arrays[labels_name].whole()
    names = None
    names_name = contents.find_optional(shapes, contents.CLASS_NAMES)
    if names_name is not None and arrays[names_name].dtype.kind == "U" and len(shapes[names_name]) == 1:
        with _named(path, kind):
            _small(path, arrays[names_name])
            names = [str(name) for name in arrays[names_name].whole()]

    def blocks() -> Iterator[Array]:
        with _named(path, kind):
            yield from images.blocks()

    return Contents(kind, images.shape, images.value_dtype, blocks, labels, names, images.epsilon)


def _small(path: Path, array: _Stored) -> None:
    contents.refuse_claims(path, math.prod(array.shape) * array.dtype.itemsize)


def read_npz(path: Path, block: SamplesGenerator) -> Contents:
    """NumPy's archive of arrays; arrays of Python objects are never unpickled.

    Raises UserError if it is broken, or which arrays hold images and labels is not clear.
    """
    arrays: dict[str, _Stored] = {}
    with _named(path, "npz"), zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            name = member.filename.removesuffix(".npy")
            if name == member.filename:
                continue
            if name in arrays:
                raise ValueError(f"'{name}' is there twice")
            with archive.open(member) as file:
                shape, fortran, dtype = _npy_header(file)
                if dtype.hasobject:  # its values would be a pickle
                    continue
                if fortran and len(shape) > 1:
                    raise ValueError(f"{member.filename} is stored column by column; save it with ascontiguousarray")
                arrays[name] = _Stored(_member(path, member.filename), shape, dtype)
    return _contents(path, "npz", arrays, block)


def _npy_header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"an array of format {version}")
    shape, fortran, dtype = readers[version](file)
    if dtype.kind not in "buifU" and not dtype.hasobject:
        raise ValueError(f"an array of {dtype}")
    return shape, fortran, dtype


def _member(path: Path, name: str) -> Callable[[], Any]:
    @contextmanager
    def opened() -> Iterator[IO[bytes]]:
        with zipfile.ZipFile(path) as archive, archive.open(name) as file:
            _npy_header(file)
            yield file

    return opened


def read_safetensors(path: Path, block: SamplesGenerator) -> Contents:
    """Tensors by name; class names stand as a JSON list under `classes` in the metadata.

    Raises UserError if it is broken, or which tensors hold images and labels is not clear.
    """
    arrays: dict[str, _Stored] = {}
    with _named(path, "safetensors"), path.open("rb") as file:
        size = path.stat().st_size
        length = int.from_bytes(file.read(8), "little")
        if length > min(size - 8, HEADER_LIMIT):
            raise ValueError(f"its header claims {length} bytes")
        header = json.loads(file.read(length))
        metadata = header.pop("__metadata__", {})
        for name, entry in header.items():
            begin, end = entry["data_offsets"]
            shape, dtype = tuple(entry["shape"]), np.dtype(_DTYPES[entry["dtype"]])
            if not all(isinstance(one, int) and one >= 0 for one in (begin, end, *shape)):
                raise ValueError(f"'{name}' has a shape or place that is no number")
            if end > size - 8 - length or end - begin != math.prod(shape) * dtype.itemsize:
                raise ValueError(f"'{name}' does not fit the file")
            opened = _from(path, 8 + length + begin)
            arrays[name] = _Stored(opened, shape, dtype, bfloat16=entry["dtype"] == "BF16")
        names = json.loads(metadata["classes"]) if "classes" in metadata else None
        if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
            raise ValueError("its metadata's 'classes' is no JSON list of names")
    found = _contents(path, "safetensors", arrays, block)
    return found if names is None else replace(found, names=names)


def _from(path: Path, offset: int) -> Callable[[], Any]:
    @contextmanager
    def opened() -> Iterator[IO[bytes]]:
        with path.open("rb") as file:
            file.seek(offset)
            yield file

    return opened
