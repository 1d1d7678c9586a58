"""What every reader returns: the images, labels and class names as published."""

import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import IO, Any, Protocol

import numpy as np

from diffdistill.errors import UserError

Array = np.ndarray[Any, Any]


class Images(Protocol):
    """uint8 (N, C, H, W), in memory or not: an array, or whatever else gives the rows asked for."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, rows: Array) -> Array:
        """Images uint8 (B, C, H, W) of the rows int64 (B,)."""
        ...


@contextmanager
def _named() -> Iterator[None]:
    """An error of the file without a name says where it lies."""
    try:
        yield
    except OSError as error:
        place = f"a temporary file in {tempfile.gettempdir()}"
        raise OSError(error.errno, error.strerror, place) from error


@dataclass(frozen=True)
class OnDisk:
    """Images uint8 (N, C, H, W) in a nameless temporary file, so that memory does not grow with their number."""

    file: IO[bytes]
    shape: tuple[int, ...]
    first: int = 0
    """The file's row that is row 0 here."""

    @classmethod
    def room(cls, *shape: int) -> "OnDisk":
        """All black."""
        file = tempfile.TemporaryFile()  # noqa: SIM115 -- lives as long as the images
        with _named():
            file.truncate(math.prod(shape))
        return cls(file, shape)

    def __setitem__(self, row: int, image: Array) -> None:
        """image: uint8 (C, H, W), or (1, H, W) for all channels alike."""
        with _named():
            self._seek(row)
            self.file.write(np.broadcast_to(image, self.shape[1:]).tobytes())

    def __getitem__(self, rows: Array) -> Array:
        images = np.empty((len(rows), *self.shape[1:]), np.uint8)
        with _named():  # what was not yet written is written before it is read
            for place, row in enumerate(rows):
                self._seek(int(row))
                images[place] = np.frombuffer(self.file.read(images[place].size), np.uint8).reshape(self.shape[1:])
        return images

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return self[np.arange(self.shape[0])]

    def _seek(self, row: int) -> None:
        self.file.seek((self.first + row) * math.prod(self.shape[1:]))

    def part(self, first: int, count: int) -> "OnDisk":
        """Some rows in succession, of the same file."""
        return replace(self, shape=(count, *self.shape[1:]), first=self.first + first)

    def in_colour(self) -> "OnDisk":
        """A copy of three channels, made of one."""
        copied = OnDisk.room(self.shape[0], 3, *self.shape[2:])
        for row in range(self.shape[0]):
            copied[row] = self[np.array([row])][0]
        return copied


class SourceError(UserError):
    """A source that cannot be used as it is asked for; `argument` of the reader is what to change."""

    def __init__(self, message: str, argument: str) -> None:
        super().__init__(message)
        self.argument = argument


@dataclass(frozen=True)
class Split:
    """One split as published."""

    images: Images
    """uint8 (N, C, H, W)."""
    labels: Array
    """int64 (N,), indices into the classes."""
    names: list[str] | None = None
    """Of the picture files, where there is one per image."""


@dataclass(frozen=True)
class RawData:
    """Splits as published, in one order of classes; test or validation is None where none is published."""

    train: Split
    test: Split | None
    classes: list[str]
    """Names in sorted order: the one order of classes there is."""
    checksum: str
    """Hexadecimal SHA-256 of the source."""
    class_titles: list[str] | None = None
    """For people, in the order of classes, where the names are codes."""
    validation: Split | None = None

    @property
    def splits(self) -> dict[str, Split]:
        """The published splits by name."""
        found = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: split for name, split in found.items() if split is not None}

    @property
    def train_images(self) -> Images:
        return self.train.images

    @property
    def train_labels(self) -> Array:
        return self.train.labels

    @property
    def test_images(self) -> Images | None:
        return None if self.test is None else self.test.images

    @property
    def test_labels(self) -> Array | None:
        return None if self.test is None else self.test.labels

    def without_empty_classes(self) -> "RawData":
        """The same images without the classes of which train has none. Raises UserError if another split has one."""
        counts = np.bincount(self.train.labels, minlength=len(self.classes))
        kept = np.flatnonzero(counts)
        places = np.full(len(self.classes), -1)
        places[kept] = np.arange(len(kept))
        for name, split in self.splits.items():
            if len(split.labels) and (places[split.labels] < 0).any():
                lost = self.classes[int(split.labels[places[split.labels] < 0][0])]
                raise UserError(f"class '{lost}' has images in {name}, but none in train; it cannot be left out")
        moved = {name: replace(split, labels=places[split.labels]) for name, split in self.splits.items()}
        titles = None if self.class_titles is None else [self.class_titles[label] for label in kept]
        classes = [self.classes[label] for label in kept]
        return RawData(
            moved["train"], moved.get("test"), classes, self.checksum, titles, validation=moved.get("validation")
        )


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
