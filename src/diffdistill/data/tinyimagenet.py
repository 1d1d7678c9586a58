"""TinyImageNet: 200 classes, 64x64.

Y. Le and X. Yang, Tiny ImageNet Visual Recognition Challenge, 2015. Its test split has no published labels; as in the
literature, the validation split serves for testing.
"""

from pathlib import Path, PurePosixPath

import numpy as np

from diffdistill.data import archives
from diffdistill.data.decoding import Failures, decode
from diffdistill.data.raw import Array, OnDisk, RawData, Split
from diffdistill.errors import UserError

SIDE = 64
ANNOTATIONS = "val/val_annotations.txt"


def read(path: Path | str) -> RawData:
    """Images uint8 (N, 3, 64, 64) of the .zip or its unpacked folder; classes are the sorted WordNet ids.

    Train pictures come in the sorted order of their names, test pictures in that of val_annotations.txt, the one source
    of their labels. Raises UserError if lists and pictures do not agree, or a picture is broken.
    """
    path = Path(path)
    names = archives.names(path)
    roots = [name.removesuffix("wnids.txt") for name in names if PurePosixPath(name).name == "wnids.txt"]
    if len(roots) != 1:
        raise UserError(
            f"{path}: {len(roots)} files wnids.txt instead of one; give TinyImageNet's archive as published"
        )
    root = roots[0]
    lists = {root + name for name in ("wnids.txt", "words.txt", ANNOTATIONS)}
    texts = {name[len(root) :]: data.decode(errors="replace") for name, data in archives.read(path, lists.__contains__)}
    classes = sorted(texts["wnids.txt"].split())
    position = {wnid: index for index, wnid in enumerate(classes)}
    if len(position) != len(classes):
        raise UserError(f"{path}: {root}wnids.txt names a class twice; fetch it again")
    train = _train_pictures(path, root, names, position)
    test = _test_pictures(path, root, names, position, texts.get(ANNOTATIONS))
    # one pass over the archive, each picture straight to its row
    rows = {name: row for row, name in enumerate([*train, *test])}
    images, failures = OnDisk.room(len(rows), 3, SIDE, SIDE), Failures()
    for name, data in archives.read(path, rows.__contains__):
        try:
            picture = decode(data, channels=3)
            if picture.shape[1:] != (SIDE, SIDE):
                raise ValueError(f"{picture.shape[2]}x{picture.shape[1]} pixels instead of {SIDE}x{SIDE}")
            images[rows[name]] = picture
        except ValueError as error:
            failures.add(name, error)
    failures.raise_if_any(path)
    titles = dict(line.split("\t", 1) for line in texts.get("words.txt", "").splitlines() if "\t" in line)
    return RawData(
        Split(images.part(0, len(train)), _labels(train), list(train)),
        Split(images.part(len(train), len(test)), _labels(test), list(test)),
        classes,
        archives.checksum(path),
        [titles.get(wnid, wnid) for wnid in classes],
    )


def _labels(pictures: dict[str, int]) -> Array:
    return np.array(list(pictures.values()), dtype=np.int64)


def _train_pictures(path: Path, root: str, names: list[str], position: dict[str, int]) -> dict[str, int]:
    """Label by file name."""
    found = {}
    for name in names:
        parts = name[len(root) :].split("/")
        if name.startswith(f"{root}train/") and len(parts) == 4 and parts[2] == "images":
            if parts[1] not in position:
                raise UserError(f"{path}: {root}wnids.txt does not name the class of {name}; fetch it again")
            found[name] = position[parts[1]]
    return found


def _test_pictures(
    path: Path, root: str, names: list[str], position: dict[str, int], annotations: str | None
) -> dict[str, int]:
    """Label by file name, in the order of the annotations."""
    source, folder = f"{path}: {root}{ANNOTATIONS}", f"{root}val/images/"
    if annotations is None:
        raise UserError(f"{source} is missing, so the validation pictures have no labels; fetch it again")
    found: dict[str, int] = {}
    for line in annotations.splitlines():
        if not line.strip():
            continue
        name, wnid, *_ = [*line.split("\t"), ""]
        if wnid not in position:
            raise UserError(f"{source} gives {name} the class '{wnid}', which wnids.txt does not name; fetch it again")
        if folder + name in found:
            raise UserError(f"{source} names {name} twice; fetch it again")
        found[folder + name] = position[wnid]
    pictures = {name for name in names if name.startswith(folder)}
    for missing, what in ((pictures - found.keys(), "has no line for"), (found.keys() - pictures, "names absent")):
        if missing:
            example = PurePosixPath(min(missing)).name
            raise UserError(f"{source} {what} {len(missing)} pictures, {example} for one; fetch it again")
    return found
