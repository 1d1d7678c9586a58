"""A folder, zip or tar of pictures with one folder per class, optionally below folders of splits."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from diffdistill.data import archives, layout, names
from diffdistill.data.decoding import FULL_RANGE, Failures, picture, significant_bits
from diffdistill.data.raw import Array, OnDisk, RawData, SourceError, Split
from diffdistill.data.tree import Listing, nfc
from diffdistill.errors import UserError

logger = logging.getLogger(__name__)


def read(
    path: Path | str,
    *,
    size: int | None = None,
    skip: tuple[str, ...] = (),
    splits: Mapping[str, str] | None = None,
    bits: int | None = None,
) -> RawData:
    """Images uint8 (N, C, H, W) in the sorted order of their names; class names are the folders', sorted.

    Every file in a class folder, or in a folder below one, must be a picture by its content, whatever its name. What
    tree.left_by_systems names is left out, and what the patterns of `skip` fit. size: each picture's middle square,
    resized to size x size; None demands that all have one size. splits: as layout.find takes it. bits: significant
    bits of 16-bit samples; None finds them over the whole set. One channel if all pictures are grey, else three.
    Raises UserError with the number of bad files by ending and a few of their names.
    """
    path = Path(path)
    listing = archives.listing(path, skip=skip)
    _log_left_out(listing)
    found = layout.find(path, listing, splits)
    if not found.pictures["train"]:
        raise UserError(f"{path}: no pictures in class folders; expected CLASS/PICTURE or train/CLASS/PICTURE")
    classes = sorted(found.classes["train"])
    for split, pictures in found.pictures.items():
        _require_known_classes(path, split, pictures, classes)
    present = [split for split in ("train", "validation", "test") if found.pictures.get(split)]
    ordered = {split: sorted(found.pictures[split], key=lambda name: (nfc(name), name)) for split in present}
    rows = {name: row for row, name in enumerate(name for some in ordered.values() for name in some)}
    images = _decoded(_Decoder(path, rows, size, skip), bits)
    position, first = {name: index for index, name in enumerate(classes)}, 0
    made: dict[str, Split] = {}
    for split, some in ordered.items():
        labels = np.array([position[found.pictures[split][name]] for name in some], dtype=np.int64)
        made[split] = Split(images.part(first, len(some)), labels, [nfc(name) for name in some])
        first += len(some)
    return RawData(
        made["train"],
        made.get("test"),
        classes,
        archives.checksum(path, skip=skip),
        validation=made.get("validation"),
    )


def _log_left_out(listing: Listing) -> None:
    if listing.left:
        left = ", ".join(f"{count} {name}" for name, count in listing.left.most_common(5))
        logger.info("left out what operating systems and storage servers leave: %s", left)
    if listing.skipped:
        logger.info("skipped as asked: %d files and folders", listing.skipped)


def _require_known_classes(path: Path, split: str, pictures: Mapping[str, str], classes: list[str]) -> None:
    """Raises UserError if a split has a class that train lacks; with code points if the two names print alike."""
    known = {names.look(name): name for name in classes}
    for unknown in sorted({*pictures.values()} - {*classes}):
        like = known.get(names.look(unknown))
        if like is not None:
            raise UserError(
                f"{path}: in {split}, {names.apart(unknown, like)} of train print alike; give both one name"
            )
        raise UserError(f"{path}: {split}/{unknown} has no counterpart in train; name the classes alike")


@dataclass
class _Decoder:
    """Decodes picture files to rows on disk; looks at every file before it raises."""

    path: Path
    rows: Mapping[str, int]
    size: int | None
    skip: tuple[str, ...]
    images: OnDisk | None = None
    sizes: Counter[str] = field(default_factory=Counter)
    failures: Failures = field(default_factory=Failures)
    deep: dict[str, int] = field(default_factory=dict)
    """Highest level by name of each picture with 16-bit samples."""

    def read(self, wanted: Iterable[str], bits: int) -> None:
        for name, data in archives.read(self.path, {*wanted}.__contains__, skip=self.skip):
            try:
                found = picture(data, size=self.size, bits=bits)
            except ValueError as error:
                self.failures.add(name, error)
                continue
            if found.highest is not None:
                self.deep[name] = found.highest
            self._keep(self.rows[name], found.pixels)

    def _keep(self, row: int, pixels: Array) -> None:
        channels, height, width = pixels.shape
        self.sizes[f"{width}x{height}"] += 1
        if self.images is None:
            self.images = OnDisk.room(len(self.rows), *pixels.shape)
        elif channels > self.images.shape[1]:
            self.images = self.images.in_colour()
        if len(self.sizes) == 1:
            self.images[row] = pixels


def _decoded(decoder: _Decoder, bits: int | None) -> OnDisk:
    """The pictures, each at its row."""
    path = decoder.path
    decoder.read(decoder.rows, bits or FULL_RANGE)
    decoder.failures.raise_if_any(path)
    if len(decoder.sizes) > 1:
        common = ", ".join(f"{count} of {name}" for name, count in decoder.sizes.most_common(3))
        raise SourceError(
            f"{path}: pictures of {len(decoder.sizes)} sizes ({common}); give the side to bring them to", "size"
        )
    if decoder.deep:
        name, highest = max(decoder.deep.items(), key=lambda item: item[1])
        if bits is not None and highest >= 1 << bits:
            raise SourceError(f"{path}: {name} has level {highest}, for which {bits} bits are too few", "bits")
        found = bits or significant_bits(highest)
        logger.info(
            "%d pictures have 16-bit samples; %d bits of these are significant (%s, highest level %d)",
            len(decoder.deep), found, "found" if bits is None else "as asked", highest,
        )  # fmt: skip
        if bits is None and found != FULL_RANGE:
            decoder.read({*decoder.deep}, found)
    assert decoder.images is not None  # there are train pictures, and all were read
    return decoder.images
