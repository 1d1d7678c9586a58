"""A folder, zip or tar of pictures with one folder per class, optionally below train/ and test/."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from diffdistill.data import archives
from diffdistill.data.decoding import Failures, decode
from diffdistill.data.raw import OnDisk, RawData
from diffdistill.errors import UserError

SPLITS = ("train", "test")
_DROPPINGS = ("thumbs.db", "desktop.ini", "__macosx")
_PICTURE_SUFFIXES = (".bmp", ".gif", ".jpg", ".jpeg", ".png", ".ppm", ".pgm", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class _Picture:
    split: str
    class_name: str


def read(path: Path, *, size: int | None = None) -> RawData:
    """Images uint8 (N, C, H, W) in the sorted order of their names; class names are the folders', sorted.

    Every file in a class folder must be a picture by its content, whatever its name; hidden files are passed over.
    size: each picture's middle square, resized to size x size; None demands that all have one size. One channel if all
    pictures are grey, else three. Raises UserError with the first ten and the number of bad files.
    """
    pictures = _pictures(path)
    if not any(picture.split == "train" for picture in pictures.values()):
        raise UserError(f"{path}: no pictures in class folders; expected CLASS/PICTURE or train/CLASS/PICTURE")
    classes = sorted({picture.class_name for picture in pictures.values() if picture.split == "train"})
    unknown = sorted({picture.class_name for picture in pictures.values()} - set(classes))
    if unknown:
        raise UserError(f"{path}: test/{unknown[0]} has no counterpart in train/; name the classes alike")
    train, test = (sorted(name for name, found in pictures.items() if found.split == split) for split in SPLITS)
    rows = {name: row for row, name in enumerate([*train, *test])}
    images, sizes, failures = None, Counter[str](), Failures()
    for name, data in archives.read(path, rows.__contains__):
        try:
            picture = decode(data, size=size)
        except ValueError as error:
            failures.add(name, error)
            continue
        channels, height, width = picture.shape
        sizes[f"{width}x{height}"] += 1
        if images is None:
            images = OnDisk.room(len(rows), *picture.shape)
        elif channels > images.shape[1]:
            images = images.in_colour()
        if len(sizes) == 1:
            images[rows[name]] = picture
    failures.raise_if_any(path)
    if len(sizes) > 1:
        common = ", ".join(f"{count} of {name}" for name, count in sizes.most_common(3))
        raise UserError(f"{path}: pictures of {len(sizes)} sizes ({common}); set source.size to bring them to one")
    assert images is not None  # there are train pictures, and all were read
    position = {name: index for index, name in enumerate(classes)}
    train_labels, test_labels = (
        np.array([position[pictures[name].class_name] for name in names], dtype=np.int64) for names in (train, test)
    )
    return RawData(
        images.part(0, len(train)),
        train_labels,
        images.part(len(train), len(test)) if test else None,
        test_labels if test else None,
        classes,
        archives.checksum(path),
    )


def _pictures(path: Path) -> dict[str, _Picture]:
    """Split and class of every file that must be a picture."""
    parts_of = {}
    for name in archives.names(path):
        parts = PurePosixPath(name).parts
        if not any(part.startswith(".") or part.lower() in _DROPPINGS for part in parts):
            parts_of[name] = parts
    # an archive often has its own name as the one folder at the top
    while all(len(parts) > 2 for parts in parts_of.values()) and len({parts[0] for parts in parts_of.values()}) == 1:
        if next(iter(parts_of.values()))[0] in SPLITS:
            break
        parts_of = {name: parts[1:] for name, parts in parts_of.items()}
    tops = {parts[0] for parts in parts_of.values() if len(parts) > 1}
    split = "train" in tops
    others = sorted(tops - set(SPLITS))
    if split and others:
        raise UserError(f"{path}: folder '{others[0]}' beside train/; only train/ and test/ can be there")
    pictures, known = dict[str, _Picture](), dict[_Picture, _Picture]()
    for name, parts in parts_of.items():
        if len(parts) > 1 + split:
            picture = _Picture(parts[0] if split else "train", parts[split])
            pictures[name] = known.setdefault(picture, picture)  # one object a class, not a picture
        elif PurePosixPath(name).suffix.lower() in _PICTURE_SUFFIXES:
            raise UserError(f"{path}: {name} is in no class folder; move it into one or remove it")
    return pictures
