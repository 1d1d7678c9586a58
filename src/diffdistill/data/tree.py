"""The files below a folder: which of them count, and what identifies them. Imports neither torch nor NumPy."""

import fnmatch
import functools
import hashlib
import os
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from diffdistill.errors import UserError

LEFT_BY_SYSTEMS = frozenset({
    "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r", "network trash folder",
    "temporary items", "$recycle.bin", "recycler", "system volume information", "lost+found", "__macosx",
    "@eadir", "@tmp", "@recycle", "@recently-snapshot", "@__thumb", "@sharebin", "#recycle", "#snapshot",
})  # fmt: skip
"""Files and folders, in lower case, that Windows, macOS, Linux and network storage put beside users' files."""
_SUFFIXES_LEFT = ("@synoeastream", "@synoresource", ":zone.identifier", ":encryptable")
_BLOCK = 1 << 20


@functools.lru_cache(maxsize=100_000)
def _part_left_by_systems(part: str) -> bool:
    lower = part.lower()
    return part.startswith(".") or lower in LEFT_BY_SYSTEMS or lower.endswith(_SUFFIXES_LEFT)


def left_by_systems(name: str) -> bool:
    """Whether a file, or a folder above it, is hidden or one that an operating system or a storage server left."""
    return any(map(_part_left_by_systems, name.split("/")))


def skipped(name: str, patterns: tuple[str, ...]) -> bool:
    """Whether a pattern with '/' fits the whole name, or one without it some part of the name; case does not count."""
    lower = name.lower()
    for pattern in patterns:
        wanted = pattern.lower()
        if any(fnmatch.fnmatchcase(part, wanted) for part in ([lower] if "/" in pattern else lower.split("/"))):
            return True
    return False


def nfc(name: str) -> str:
    """The composed form of a name: file systems and archivers differ in how they spell accents."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def require_text(path: Path, name: str) -> str:
    """The name. Raises UserError if it is not valid Unicode, which nothing later could print."""
    if not name.isascii() and any(0xD800 <= ord(letter) <= 0xDFFF for letter in name):
        raise UserError(f"{path}: the name {name!r} is not valid UTF-8; rename it")
    return name


@dataclass
class Listing:
    """Names relative to a folder or archive, with '/' between folders, as they are stored."""

    names: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    stats: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Size in bytes and time of change in nanoseconds of each file, where a folder was walked."""
    left: Counter[str] = field(default_factory=Counter)
    """Files and folders that a system left, by name."""
    skipped: int = 0
    """Files and folders that the caller's patterns leave out."""

    def add(self, name: str, stats: tuple[int, ...] | None, skip: tuple[str, ...]) -> bool:
        """Sort one name in; stats is None for a folder. Whether the name counts."""
        if left_by_systems(name):
            self.left[next(part for part in name.split("/") if _part_left_by_systems(part))] += 1
            return False
        if skip and skipped(name, skip):
            self.skipped += 1
            return False
        if stats is None:
            self.folders.append(name)
        else:
            self.names.append(name)
            if stats:
                self.stats[name] = (stats[0], stats[1])
        return True

    def in_order(self) -> "Listing":
        """Sorted by the composed form of the names, which is the same on all file systems."""
        self.names.sort(key=lambda name: (nfc(name), name))
        self.folders = sorted({*self.folders}, key=lambda name: (nfc(name), name))
        return self


def walk(folder: Path, *, skip: tuple[str, ...] = ()) -> Listing:
    """All files and folders below a folder, links followed.

    Raises OSError for a folder that cannot be read, UserError for a link in a circle or to nothing, for what is neither
    a file nor a folder, and for a name that is not text.
    """
    found = Listing()
    _walk(folder, "", (), found, skip)
    return found.in_order()


def _walk(folder: Path, prefix: str, above: tuple[tuple[int, int], ...], found: Listing, skip: tuple[str, ...]) -> None:
    here = (folder / prefix).stat()
    identity = (here.st_dev, here.st_ino)
    if identity in above:
        raise UserError(f"{folder / prefix}: a link back to a folder that holds it; remove it")
    with os.scandir(folder / prefix) as entries:
        for entry in entries:
            name = require_text(folder, prefix + entry.name)
            if entry.is_dir():
                if found.add(name, None, skip):
                    _walk(folder, f"{name}/", (*above, identity), found, skip)
            elif entry.is_file():
                stats = entry.stat()
                found.add(name, (stats.st_size, stats.st_mtime_ns), skip)
            elif found.add(name, (), skip):
                raise UserError(
                    f"{folder / name}: neither a file nor a folder, or a link to nothing; repair or remove it"
                )


def fingerprint(path: Path | str, *, skip: tuple[str, ...] = (), contents: bool = False) -> str:
    """What changes when a folder or an archive changes, as hexadecimal digits: names, sizes and dates of its files.

    contents: their contents in place of sizes and dates, for changes that keep both. Where the folder lies does not
    count. Raises OSError and UserError as walk does, FileNotFoundError if there is nothing at `path`.
    """
    path = Path(path)
    if contents:
        return digests(path, skip=skip)["sha256"]
    if not path.is_dir():
        stats = path.stat()
        return _hexadecimal(f"{path.name}\0{stats.st_size}\0{stats.st_mtime_ns}")
    found = walk(path, skip=skip)
    lines = [f"{nfc(name)}\0{size}\0{changed}" for name, (size, changed) in found.stats.items()]
    # folders too: one without a file can be a class without images
    return _hexadecimal("\n".join([*sorted(lines), "", *map(nfc, found.folders)]))


def digests(path: Path | str, *, skip: tuple[str, ...] = ()) -> dict[str, str]:
    """Hexadecimal digests by algorithm: sha256 and md5 of an archive, sha256 of names and contents of a folder.

    Empty folders count, because each can be a class without images. Raises OSError and UserError as walk does.
    """
    path = Path(path)
    if path.is_dir():
        listed, total = walk(path, skip=skip), hashlib.sha256()
        filled = {parent.as_posix() for name in listed.names for parent in PurePosixPath(name).parents}
        for name in listed.names:
            total.update(f"{nfc(name)}\0{_of_file(path / name)['sha256']}\n".encode())
        for name in listed.folders:
            if name not in filled:
                total.update(f"{nfc(name)}/\n".encode())
        return {"sha256": total.hexdigest()}
    return _of_file(path, "sha256", "md5")


def _of_file(path: Path, *algorithms: str) -> dict[str, str]:
    found = {name: hashlib.new(name, usedforsecurity=False) for name in algorithms or ("sha256",)}
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            for digest in found.values():
                digest.update(block)
    return {name: digest.hexdigest() for name, digest in found.items()}


def _hexadecimal(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
