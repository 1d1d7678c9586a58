"""The one format of images inside the workflow: uint8 (N, C, H, W) with int64 labels and class names."""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from diffdistill.errors import UserError
from diffdistill.runtime import files, tensor_files

HEADER_ROOM = 65536
"""Bytes that a streamed file keeps for its header beyond the metadata known at the start."""
ORIGIN = ("source_checksum", "cut")
"""What the metadata of every file made of a data set says of it: its archive, and how its splits were cut."""


@dataclass(frozen=True)
class ImageSet:
    """images: uint8 (N, C, H, W); labels: int64 (N,), indices into classes."""

    images: Tensor
    labels: Tensor
    classes: list[str]
    metadata: dict[str, str]
    groups: Tensor | None = None
    """int64 (N,), equal for images that belong together; None if each stands alone."""


def to_bytes(x: Tensor) -> Tensor:
    """Float [-1, 1] to uint8 0..255, clamped then rounded (halves to even); shape kept.

    Raises UserError if a value is not finite.
    """
    if not torch.isfinite(x).all():
        raise UserError("an image holds NaN or inf; the network's weights or the solver's settings are broken")
    # in float32, because half precision cannot tell all 256 levels apart
    return ((x.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def from_bytes(images: Tensor) -> Tensor:
    """uint8 0..255 to float32 [-1, 1]; to_bytes gives the same bytes back."""
    return images.float() / 127.5 - 1


def _contiguous(values: Tensor | np.ndarray[Any, Any]) -> Tensor:
    if isinstance(values, np.ndarray):
        # torch takes neither foreign byte order nor, without a warning, read-only memory
        return torch.from_numpy(np.require(values, values.dtype.newbyteorder("="), ["C", "W"]))
    return values.detach().cpu().contiguous()


def _classes(metadata: Mapping[str, str]) -> list[str]:
    if "classes" not in metadata:
        raise ValueError("the metadata has no 'classes'")
    classes = json.loads(metadata["classes"])
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise ValueError("the metadata's 'classes' is not a JSON list of names")
    if len(set(classes)) != len(classes):
        raise ValueError("a class name stands twice in the metadata's 'classes'")
    return classes


def _checked(
    images: Tensor | np.ndarray[Any, Any], labels: Tensor | np.ndarray[Any, Any], metadata: Mapping[str, str]
) -> tuple[Tensor, Tensor]:
    # safetensors' NumPy writer dumps raw memory: anything strided would come back reshuffled
    x, y = _contiguous(images), _contiguous(labels)
    if x.dtype != torch.uint8 or x.ndim != 4:
        raise ValueError(f"images must be uint8 (N, C, H, W), found {x.dtype} {tuple(x.shape)}")
    if y.dtype != torch.int64 or y.shape != x.shape[:1]:
        raise ValueError(f"labels must be int64 ({len(x)},), found {y.dtype} {tuple(y.shape)}")
    classes = _classes(metadata)
    if len(y) and not 0 <= int(y.min()) <= int(y.max()) < len(classes):
        raise ValueError(f"labels {int(y.min())}..{int(y.max())} do not fit {len(classes)} classes")
    return x, y


def _checked_groups(groups: Tensor | np.ndarray[Any, Any], count: int) -> Tensor:
    numbers = _contiguous(groups)
    if numbers.dtype != torch.int64 or numbers.shape != (count,):
        raise ValueError(f"groups must be int64 ({count},), found {numbers.dtype} {tuple(numbers.shape)}")
    return numbers


def save(
    path: Path | str,
    images: Tensor | np.ndarray[Any, Any],
    labels: Tensor | np.ndarray[Any, Any],
    metadata: Mapping[str, str],
    *,
    groups: Tensor | np.ndarray[Any, Any] | None = None,
) -> None:
    """Write one set; metadata["classes"] is the JSON list of class names. Raises ValueError for other types."""
    x, y = _checked(images, labels, metadata)
    tensors = {"images": x, "labels": y}
    if groups is not None:
        tensors["groups"] = _checked_groups(groups, len(y))
    tensor_files.save(Path(path), tensors, metadata)


def load(path: Path | str) -> ImageSet:
    """Raises UserError naming the file if it is missing, broken, or holds no labelled images."""
    tensors, metadata = tensor_files.load(Path(path))
    try:
        images, labels = _checked(tensors["images"], tensors["labels"], metadata)
        groups = _checked_groups(tensors["groups"], len(labels)) if "groups" in tensors else None
    except (KeyError, ValueError) as error:
        raise UserError(f"{path}: not a set of labelled images ({error}); make it again") from error
    return ImageSet(images, labels, _classes(metadata), metadata, groups)


def load_labels_and_metadata(path: Path | str) -> tuple[Tensor, dict[str, str]]:
    """Labels int64 (N,) and metadata, without reading the images. Raises UserError as load does."""
    tensors, metadata = tensor_files.load(Path(path), lambda name: name == "labels")
    try:
        labels = tensors["labels"]
        _checked(torch.empty(len(labels), 0, 0, 0, dtype=torch.uint8), labels, metadata)
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path}: not a set of labelled images ({error}); make it again") from error
    return labels, metadata


def load_rows(path: Path | str, rows: Sequence[int]) -> Tensor:
    """The images uint8 (B, C, H, W) of some rows; the rest of the file is not read. Raises UserError as load does."""
    try:
        images = tensor_files.load_rows(Path(path), "images", rows)
    except (KeyError, IndexError) as error:
        raise UserError(f"{path}: not a set of labelled images ({error}); make it again") from error
    if images.dtype != torch.uint8 or images.ndim != 4:
        raise UserError(f"{path}: images must be uint8 (N, C, H, W), found {images.dtype}; make it again")
    return images


def stored_images(path: Path | str) -> int:
    """How many images a set counts as: fewer than it has if several were stored as one. Raises UserError as load does.

    A set says so under `stored_images` in its metadata.
    """
    labels, metadata = load_labels_and_metadata(path)
    stored = metadata.get("stored_images", str(len(labels)))
    if not stored.isdecimal() or not 0 < int(stored) <= max(1, len(labels)):
        raise UserError(f"{path}: 'stored_images' is {stored!r}, the set has {len(labels)} images; make it again")
    return min(int(stored), len(labels))


def require_same_classes(path_a: Path | str, set_a: ImageSet, path_b: Path | str, set_b: ImageSet) -> None:
    """Raises UserError if two files do not have the same class names in the same order."""
    if set_a.classes != set_b.classes:
        differing = [pair for pair in zip(set_a.classes, set_b.classes, strict=False) if pair[0] != pair[1]]
        found = f"'{differing[0][0]}' against '{differing[0][1]}'" if differing else "another number of classes"
        raise UserError(
            f"{path_a} and {path_b} differ in class names or their order ({found}); make both from one source"
        )


def differing(keys: Iterable[str], a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """`key value against value` for each of the keys that both have with other values."""
    return [f"{key} {_apart(str(a[key]), str(b[key]))}" for key in keys if key in a and key in b and a[key] != b[key]]


def _apart(a: str, b: str, room: int = 80) -> str:
    """Both values, of long ones the part from shortly before their first difference."""
    alike = next((place for place, (one, other) in enumerate(zip(a, b, strict=False)) if one != other), 0)
    first = max(0, alike - 10) if max(len(a), len(b)) > room else 0
    shown = [
        f"{'…' if first else ''}{text[first : first + room]}{'…' if text[first + room :] else ''}" for text in (a, b)
    ]
    return " against ".join(shown)


def origin_of(metadata: Mapping[str, str]) -> dict[str, str]:
    """What metadata says of the data set, to be passed on to what is made of it."""
    return {key: metadata[key] for key in ORIGIN if key in metadata}


def require_same_origin(
    path_a: Path | str, metadata_a: Mapping[str, str], path_b: Path | str, metadata_b: Mapping[str, str]
) -> None:
    """Raises UserError if two files come from other archives, or from splits that were cut in other ways.

    Only what both files say of themselves is compared.
    """
    for difference in differing(ORIGIN, metadata_a, metadata_b):
        raise UserError(f"{path_a} and {path_b} do not belong together: {difference}; make both again")


def require_same_shape(path_a: Path | str, set_a: ImageSet, path_b: Path | str, set_b: ImageSet) -> None:
    """Raises UserError if the images of two files differ in shape, or one has none."""
    for path, images in ((path_a, set_a.images), (path_b, set_b.images)):
        if not len(images):
            raise UserError(f"{path}: holds no images; make it again")
    a, b = tuple(set_a.images.shape[1:]), tuple(set_b.images.shape[1:])
    if a != b:
        raise UserError(f"{path_a} and {path_b} differ in the shape of their images, {a} against {b}; make both again")


class Writer:
    """Streams images to disk as they come, so that memory does not grow with their number.

    The file has safetensors' format: the header's room is kept at the beginning and filled at the end. It appears under
    its name with finish(); leaving the block otherwise leaves nothing.
    """

    def __init__(self, path: Path | str, image_shape: tuple[int, ...], metadata: Mapping[str, str]) -> None:
        self._path, self._shape, self._metadata = Path(path), image_shape, dict(metadata)
        _classes(self._metadata)
        self._room = (len(json.dumps(self._metadata)) + HEADER_ROOM) // 8 * 8
        self._labels: list[Tensor] = []
        self._groups: list[Tensor] = []
        self._context = files.replacing(self._path)

    def __enter__(self) -> "Writer":
        self._temporary = self._context.__enter__()
        self._file = self._temporary.open("r+b")
        self._file.seek(8 + self._room)
        self._finished = False
        return self

    def append(
        self,
        images: Tensor | np.ndarray[Any, Any],
        labels: Tensor | np.ndarray[Any, Any],
        groups: Tensor | np.ndarray[Any, Any] | None = None,
    ) -> None:
        """images: uint8 (B, C, H, W); labels: int64 (B,); groups: int64 (B,), for all batches or for none."""
        x, y = _checked(images, labels, self._metadata)
        if tuple(x.shape[1:]) != self._shape:
            raise ValueError(f"images of {self._shape} were announced, found {tuple(x.shape[1:])}")
        self._file.write(x.numpy().data)
        self._labels.append(y.clone())  # the caller may reuse its buffer for the next batch
        if groups is not None:
            self._groups.append(_checked_groups(groups, len(y)).clone())

    def finish(self, metadata: Mapping[str, str] | None = None) -> None:
        """Write labels and header, flush to disk, and move the file into place.

        metadata, where given, replaces the one from the start. Raises ValueError if it does not fit labels or room.
        """
        labels = torch.cat([torch.empty(0, dtype=torch.int64), *self._labels])
        if metadata is not None:
            _checked(torch.empty(len(labels), 0, 0, 0, dtype=torch.uint8), labels, metadata)
            self._metadata = dict(metadata)
        groups = torch.cat(self._groups) if self._groups else None
        if groups is not None and len(groups) != len(labels):
            raise ValueError(f"{len(groups)} groups were given for {len(labels)} images")
        count, size = len(labels), len(labels) * int(np.prod(self._shape))
        gap = -size % 8  # int64 labels are read in place by some loaders: keep them aligned
        self._file.write(b"\0" * gap)
        header: dict[str, Any] = {
            "__metadata__": self._metadata,
            "images": {"dtype": "U8", "shape": [count, *self._shape], "data_offsets": [0, size]},
        }
        if gap:
            header["padding"] = {"dtype": "U8", "shape": [gap], "data_offsets": [size, size + gap]}
        end = size + gap
        for name, numbers in (("labels", labels), ("groups", groups)):
            if numbers is not None:
                self._file.write(numbers.numpy().tobytes())
                header[name] = {"dtype": "I64", "shape": [count], "data_offsets": [end, end + 8 * count]}
                end += 8 * count
        text = json.dumps(header).encode()
        if len(text) > self._room:
            raise ValueError(f"the header takes {len(text)} bytes, {self._room} were kept for it")
        self._file.seek(0)
        self._file.write(self._room.to_bytes(8, "little") + text.ljust(self._room))
        self._file.close()
        self._finished = True
        self._context.__exit__(None, None, None)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._finished:
            with suppress(OSError):
                self._file.close()  # on a full disk even this fails
            self._context.__exit__(kind or GeneratorExit, error or GeneratorExit(), traceback)
