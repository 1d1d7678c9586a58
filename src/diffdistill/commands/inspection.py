"""What lies in a folder or archive of pictures: classes, sizes, colour, and what is wrong with it."""

import glob
import hashlib
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from diffdistill.data import archives, layout
from diffdistill.data.decoding import decode
from diffdistill.data.raw import Array, SourceError
from diffdistill.data.tree import Listing
from diffdistill.errors import UserError

SMALLEST_CLASS = 5
"""Images that each class needs: one for validation, one for test, and a few to train on."""
MOST_NAMED = 20
"""Files that are skipped one by one; more of them are a question to the user."""
THUMBNAIL, THUMBNAILS = 16, 600
"""Side and number of the small grey copies that tell whether mirrored pictures look like others of their class."""


@dataclass
class Inspection:
    """What was found. Names are those of files relative to the source."""

    path: Path
    nested: bool = False
    """Whether the folders at the top are the classes, whatever lies in them."""
    classes: dict[str, dict[str, int]] = field(default_factory=dict)
    """Pictures by split and class."""
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    """Width and height of the pictures that were looked at."""
    channels: int = 1
    looked_at: int = 0
    unreadable: dict[str, str] = field(default_factory=dict)
    """Files with a picture's ending that are no whole picture, and why."""
    foreign: list[str] = field(default_factory=list)
    """Other files."""
    duplicates: int = 0
    """Pictures whose bytes equal those of an earlier one."""
    plain: int = 0
    """Pictures of a single colour."""
    thumbnails: dict[str, list[Array]] = field(default_factory=lambda: defaultdict(list))
    """float64 (THUMBNAIL, THUMBNAIL) in 0..255, by class."""

    @property
    def count(self) -> int:
        """Pictures in all splits."""
        return sum(sum(classes.values()) for classes in self.classes.values())

    @property
    def train(self) -> dict[str, int]:
        """Train pictures by class."""
        return self.classes["train"]

    def skip(self) -> tuple[str, ...]:
        """Patterns that leave out what is no picture: one per ending, and the names of broken pictures.

        Raises UserError if so many pictures are broken, or files have no ending, that each must be asked about.
        """
        endings = {PurePosixPath(name).suffix.lower() for name in self.foreign} - {""}
        single = [*self.unreadable, *(name for name in self.foreign if not PurePosixPath(name).suffix)]
        if len(single) > MOST_NAMED:
            why = f" ({next(iter(self.unreadable.values()))})" if self.unreadable else ""
            raise UserError(
                f"{self.path}: {len(single)} files are no whole pictures, such as {single[0]}{why}; repair or remove "
                "them"
            )
        return (*sorted(f"*{glob.escape(ending)}" for ending in endings), *sorted(map(glob.escape, single)))


def inspect(path: Path, *, seconds: float = 60.0, nested: bool = False) -> Inspection:
    """Look at the files of a folder or archive, in random order for at most about so many seconds.

    nested: the folders at the top are the classes, even if they look like data sets or splits of their own.
    Raises UserError, one line, for a source of which no experiment can be made.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file or folder; give the folder that holds a folder of pictures per class")
    listing = archives.listing(path)
    if not listing.names:
        raise UserError(f"{path}: no files in it; give a folder that holds a folder of pictures per class")
    found = Inspection(path, nested=nested)
    pictures = _of_classes(found, listing)
    split_of = {name: (split, one) for split, named in pictures.items() for name, one in named.items()}
    if not nested:
        _refuse_several_sets(path, split_of)
    _look(found, split_of, time.monotonic() + seconds)
    lost = {*found.unreadable, *found.foreign}
    for name, (split, one) in split_of.items():
        if name not in lost:
            counts = found.classes.setdefault(split, {})
            counts[one] = counts.get(one, 0) + 1
    _refuse_useless(found)
    return found


def mirror_ratio(thumbnails: Mapping[str, Iterable[Array]]) -> float:
    """How much farther a mirrored picture lies from the nearest other one of its class than the picture itself does.

    About 1 where mirroring changes nothing about what a picture shows. 1 too if there is nothing to compare.
    """
    own, mirrored = 0.0, 0.0
    for some in thumbnails.values():
        stack = np.stack(list(some)).astype(np.float64)
        if len(stack) < 2:
            continue
        flat, flipped = (one.reshape(len(stack), -1) for one in (stack, stack[:, :, ::-1]))
        own += _nearest(flat, flat)
        mirrored += _nearest(flipped, flat)
    return mirrored / own if own > 0 else 1.0


def _nearest(a: Array, b: Array) -> float:
    """Sum over the rows of a (N, D) of the distance to the nearest row of b (N, D) with another number."""
    squared = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
    np.fill_diagonal(squared, np.inf)
    return float(np.sqrt(squared.min(axis=1).clip(0)).sum())


def _of_classes(source: Inspection, listing: Listing) -> dict[str, dict[str, str]]:
    """Class by split and name of what may be a picture; all other files are foreign."""
    path = source.path
    try:
        found = layout.find(path, listing, {} if source.nested else None)
    except SourceError as error:
        hint = "say --nested if the folders at the top are the classes, or write" if error.argument == "splits" else ""
        raise UserError(f"{error}; {hint or 'or write'} source.{error.argument} by hand") from error
    pictures = {split: dict(some) for split, some in found.pictures.items()}
    placed = {name for some in pictures.values() for name in some}
    source.foreign += [name for name in listing.names if name not in placed]
    if not pictures.get("train"):
        raise UserError(
            f"{path}: no pictures in class folders among {len(listing.names)} files; expected "
            f"{path.name}/CLASS/PICTURE or {path.name}/train/CLASS/PICTURE"
        )
    return pictures


def _refuse_several_sets(path: Path, split_of: Mapping[str, tuple[str, str]]) -> None:
    """Raises UserError if every class folder holds no picture itself but several folders of pictures."""
    below: dict[str, set[str]] = defaultdict(set)
    for name, (_, one) in split_of.items():
        inner = name.split("/")
        place = inner.index(one) if one in inner else 0
        below[one].add(inner[place + 1] if len(inner) > place + 2 else "")
    if len(below) > 1 and all("" not in folders and len(folders) > 1 for folders in below.values()):
        first = sorted(below)[0]
        raise UserError(
            f"{path}: each of {', '.join(sorted(below)[:3])} holds folders of pictures, as several data sets do; give "
            f"one of them, such as {path / first}, or say --nested if they are the classes"
        )


def _look(found: Inspection, split_of: Mapping[str, tuple[str, str]], until: float) -> None:
    """Decode files in random order; those of the same unusual ending are tried once."""
    order = np.random.default_rng(0).permutation(sorted(split_of)).tolist()
    hashes: set[bytes] = set()
    tried: dict[str, bool] = {}
    wanted: list[str] = []
    for name in order:
        suffix = PurePosixPath(name).suffix.lower()
        if suffix in layout.PICTURE_SUFFIXES or suffix not in tried:
            wanted.append(name)
            tried.setdefault(suffix, False)
    contents = _contents(found.path, wanted)
    for name, data in contents:
        suffix = PurePosixPath(name).suffix.lower()
        if found.looked_at and time.monotonic() > until:
            break
        try:
            pixels = decode(data)
        except ValueError as error:
            if suffix in layout.PICTURE_SUFFIXES:
                found.unreadable[name] = str(error)
            else:
                found.foreign += [other for other in order if PurePosixPath(other).suffix.lower() == suffix]
            continue
        digest = hashlib.sha256(data).digest()
        found.duplicates += digest in hashes
        hashes.add(digest)
        _note(found, pixels, split_of[name])


def _contents(path: Path, wanted: list[str]) -> Iterable[tuple[str, bytes]]:
    """Of a folder in the order asked for; archives come in their own order."""
    if path.is_dir():
        return ((name, (path / name).read_bytes()) for name in wanted)
    return archives.read(path, {*wanted}.__contains__)


def _note(found: Inspection, pixels: Array, place: tuple[str, str]) -> None:
    """pixels: uint8 (C, H, W)."""
    channels, height, width = pixels.shape
    found.looked_at += 1
    found.sizes[width, height] += 1
    found.channels = max(found.channels, channels)
    found.plain += bool((pixels == pixels[:, :1, :1]).all())
    if place[0] == "train" and sum(map(len, found.thumbnails.values())) < THUMBNAILS:
        grey = Image.fromarray(pixels.mean(axis=0).astype(np.uint8))
        small = grey.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
        found.thumbnails[place[1]].append(np.asarray(small, dtype=np.float64))


def _refuse_useless(found: Inspection) -> None:
    """Raises UserError, one line, for pictures of which no experiment can be made."""
    path, train = found.path, found.classes.get("train", {})
    if not train or not found.looked_at:
        example = next(iter(found.unreadable.items()), None)
        why = f", such as {example[0]} ({example[1]})" if example else ""
        raise UserError(f"{path}: none of its files is a whole picture{why}; give a folder of pictures per class")
    if len(train) < 2:
        raise UserError(f"{path}: the only class is '{next(iter(train))}'; at least two folders of pictures are needed")
    smallest = min(train, key=lambda one: train[one])
    if train[smallest] < SMALLEST_CLASS:
        few = sum(count < SMALLEST_CLASS for count in train.values())
        raise UserError(
            f"{path}: {few} of {len(train)} classes have fewer than {SMALLEST_CLASS} pictures, such as '{smallest}' "
            f"with {train[smallest]}; add pictures or remove such classes"
        )
    if found.plain == found.looked_at:
        raise UserError(f"{path}: every picture is of a single colour, so nothing can be learnt; check the files")
    if 0 < found.duplicates == found.looked_at - 1:
        raise UserError(f"{path}: all pictures are copies of one file, so nothing can be learnt; check the files")
