"""Which folders of a source are splits and which are classes; what can be read in two ways is refused with both."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from diffdistill.data import names
from diffdistill.data.raw import SourceError
from diffdistill.data.tree import Listing, nfc
from diffdistill.errors import UserError

SPLIT_NAMES = {
    "train": "train", "training": "train", "val": "validation", "valid": "validation", "validation": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip
"""Usual names of folders of splits, in lower case, and the split that each means."""
PICTURE_SUFFIXES = (".bmp", ".gif", ".jpg", ".jpeg", ".png", ".ppm", ".pgm", ".pbm", ".tif", ".tiff", ".webp")


@dataclass
class Layout:
    """Class of every picture file, by split and name as stored; and all class folders, empty ones too."""

    pictures: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    classes: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))


@dataclass
class _Top:
    """A folder at the top: what lies in it."""

    name: str
    files: list[str] = field(default_factory=list)
    """Names of the files directly in it."""
    folders: set[str] = field(default_factory=set)
    """Names of the folders directly in it."""

    @property
    def split(self) -> str | None:
        """The split that its name means."""
        return SPLIT_NAMES.get(self.name.lower())

    @property
    def holds_classes(self) -> bool:
        """Whether its pictures lie in folders of their own."""
        return bool(self.folders) and not any(map(_is_picture, self.files))


def _is_picture(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in PICTURE_SUFFIXES


def find(path: Path, listing: Listing, splits: Mapping[str, str] | None = None) -> Layout:
    """Splits and classes of the files of a source.

    splits: folder by split (train, validation, test), '/' between nested ones; empty if the folders at the top are
    classes whatever they are called; None to go by the usual names. Raises UserError if a picture has no class or the
    folders can be understood in two ways.
    """
    wrapper = _wrapper(listing, splits)
    entries = [(name, tuple(name[len(wrapper) :].split("/"))) for name in listing.names if name.startswith(wrapper)]
    folders = [tuple(name[len(wrapper) :].split("/")) for name in listing.folders if name.startswith(wrapper)]
    if splits:
        places = {tuple(nfc(place).strip("/").split("/")): split for split, place in splits.items()}
    else:
        tops = _tops([parts for _, parts in entries], folders)
        places = {} if splits is not None else _split_places(path, tops)
        if splits is None and not places:
            _refuse_repeated_folders(path, tops)
    return _sorted_in(path, entries, folders, places or {(): "train"})


def _wrapper(listing: Listing, splits: Mapping[str, str] | None) -> str:
    """The folders around everything else, with '/': an archive often has its own name as the one folder at the top."""
    wrapper = ""
    while True:
        inner = [name[len(wrapper) :] for name in (*listing.names, *listing.folders) if name.startswith(wrapper)]
        tops = {name.partition("/")[0] for name in inner}
        if wrapper:
            tops.discard("")
        folders = {top for top in tops if any(name.startswith(f"{top}/") for name in inner)}
        shallow = [
            name[len(wrapper) :] for name in listing.names
            if name.startswith(wrapper) and name[len(wrapper) :].count("/") < 2
        ]  # fmt: skip
        deep = any(name.startswith(wrapper) and name[len(wrapper) :].count("/") >= 2 for name in listing.names)
        if len(folders) != 1 or not deep or any(map(_is_picture, shallow)):
            return wrapper
        (top,) = folders
        named = {nfc(place).split("/")[0] for place in (splits or {}).values()}
        if nfc(top) in named or (splits is None and top.lower() in SPLIT_NAMES):
            return wrapper
        wrapper += f"{top}/"


def _tops(files: list[tuple[str, ...]], folders: list[tuple[str, ...]]) -> list[_Top]:
    found: dict[str, _Top] = {}
    for parts in files:
        if len(parts) > 1:
            top = found.setdefault(parts[0], _Top(parts[0]))
            if len(parts) == 2:
                top.files.append(parts[1])
            else:
                top.folders.add(parts[1])
    for parts in folders:
        if parts[0]:
            top = found.setdefault(parts[0], _Top(parts[0]))
            if len(parts) > 1:
                top.folders.add(parts[1])
    return sorted(found.values(), key=lambda top: top.name)


def _split_places(path: Path, tops: list[_Top]) -> dict[tuple[str, ...], str]:
    """Split by folder, where the folders at the top are splits by their usual names; else nothing."""
    if not any(top.split == "train" and top.holds_classes for top in tops):
        if tops and all(top.split for top in tops):
            flat = next((top for top in tops if top.split == "train"), None)
            if flat is None:
                raise UserError(f"{path}: {tops[0].name}/ is there, but no train/; add it, or give a folder of classes")
            example = f"{flat.name}/{flat.files[0]}" if flat.files else f"{flat.name}/"
            raise SourceError(
                f"{path}: {example} is in no class folder; expected {flat.name}/CLASS/PICTURE, or say that the folders "
                f"{_listed([top.name for top in tops])} are classes",
                "splits",
            )
        return {}
    strange = [top for top in tops if not top.split]
    if strange:
        train = next(top for top in tops if top.split == "train" and top.holds_classes)
        raise SourceError(
            f"{path}: folder '{strange[0].name}' beside {train.name}/ can be read in two ways: {train.name}/ is the "
            f"train split with the classes {_listed(train.folders)}, or {_listed([top.name for top in tops])} are the "
            "classes; name the splits, or give none",
            "splits",
        )
    found: dict[tuple[str, ...], str] = {}
    for top in tops:
        assert top.split is not None
        if top.split in found.values():
            other = next(place[0] for place, split in found.items() if split == top.split)
            raise SourceError(f"{path}: {other}/ and {top.name}/ both mean {top.split}; name the one to read", "splits")
        if any(map(_is_picture, top.files)):
            example = f"{top.name}/{next(filter(_is_picture, top.files))}"
            raise SourceError(f"{path}: {example} is in no class folder, so it has no label; skip {top.name}/", "skip")
        found[top.name,] = top.split
    return found


def _looks_whole(top: _Top) -> bool:
    """Whether a folder holds a train split and another one."""
    inner = {SPLIT_NAMES.get(name.lower()) for name in top.folders} - {None}
    return "train" in inner and len(inner) > 1


def _refuse_repeated_folders(path: Path, tops: list[_Top]) -> None:
    """Raises SourceError if the folders at the top look like splits or like several data sets."""
    whole = [top.name for top in tops if _looks_whole(top)]
    if len(whole) > 1:
        raise SourceError(
            f"{path}: {_listed(whole)} each hold folders of splits: they are data sets of their own, or classes whose "
            "images are split; give one data set, or put the folders of the splits at the top",
            "path",
        )
    if whole and len(tops) > 1:
        raise SourceError(f"{path}: {whole[0]}/ is a data set of its own; give that folder", "path")
    above: dict[str, str] = {}
    for top in tops:
        for name in sorted(top.folders):
            other = above.setdefault(nfc(name).casefold(), top.name)
            if other != top.name:
                raise SourceError(
                    f"{path}: {other}/ and {top.name}/ both hold a folder '{name}', which can be read in two ways: "
                    f"{_listed([top.name for top in tops])} are splits with the classes {_listed(top.folders)}, or "
                    "they are the classes; name the splits, or give none",
                    "splits",
                )


def _listed(some: Iterator[str] | list[str] | set[str], most: int = 5) -> str:
    ordered = sorted(some)
    return ", ".join(ordered[:most]) + (f", … ({len(ordered)})" if len(ordered) > most else "")


def _sorted_in(
    path: Path,
    entries: list[tuple[str, tuple[str, ...]]],
    folders: list[tuple[str, ...]],
    places: Mapping[tuple[str, ...], str],
) -> Layout:
    """Every picture with its split and class; class names are composed (NFC)."""
    found, raw = Layout(), defaultdict[str, set[str]](set)
    unknown = {split: place for place, split in places.items()}
    for name, parts in entries:
        place = _place(parts[:-1], places)
        if place is not None and len(parts) > len(place) + 1:
            found.pictures[places[place]][name] = parts[len(place)]
            raw[places[place]].add(parts[len(place)])
            unknown.pop(places[place], None)
        elif _is_picture(name):
            where = "in no class folder" if place is not None else "in none of the splits"
            raise SourceError(f"{path}: {name} is {where}; move it, remove it or skip it", "skip")
    for parts in folders:
        place = _place(parts, places)
        if place is not None and len(parts) > len(place) and parts[len(place)]:
            raw[places[place]].add(parts[len(place)])
    for split, place in unknown.items():
        if place:
            raise SourceError(
                f"{path}: no picture in {'/'.join(place)}/CLASS/, which is to be the {split} split", "splits"
            )
    for split, classes in raw.items():
        spelt = names.composed(classes, f"{path} ({split})")
        found.classes[split] = {*spelt.values()}
        found.pictures[split] = {name: spelt[one] for name, one in found.pictures[split].items()}
    return found


def _place(parts: tuple[str, ...], places: Mapping[tuple[str, ...], str]) -> tuple[str, ...] | None:
    """The folder of a split that holds such a name."""
    return next((place for place in places if tuple(map(nfc, parts[: len(place)])) == tuple(map(nfc, place))), None)
