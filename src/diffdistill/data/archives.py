"""Archives and folders, read file by file into memory: nothing is ever unpacked to disk."""

import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Self

from diffdistill.data import tree
from diffdistill.errors import UserError

MEMBER_LIMIT = 1 << 30
"""Bytes that one file in an archive may claim; CIFAR's largest has 155 MB."""
RATIO_LIMIT = 200
"""How many times its own size an archive may unpack to once that exceeds RATIO_FREE; pictures stay below 20."""
RATIO_FREE = 1 << 26

HEADER_LIMIT = 1 << 20
"""Bytes of a tar's extended header: tarfile reads it at once, before anybody can look at the member."""

Wanted = Callable[[str], bool]
_FOLDER = b"a folder, known by this object's identity"
_BROKEN = (
    OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError,
    RuntimeError, NotImplementedError, ValueError, UnicodeError,
)  # fmt: skip


def names(path: Path | str) -> list[str]:
    """Names of all files that count, sorted, with '/' between folders. Raises UserError as read does."""
    return listing(path).names


def listing(path: Path | str, *, skip: tuple[str, ...] = ()) -> tree.Listing:
    """Files and folders of a folder or an archive, without what tree.left_by_systems and `skip` leave out.

    Raises UserError as read does.
    """
    path = Path(path)
    if path.is_dir():
        return tree.walk(path, skip=skip)
    found = tree.Listing()
    for name, data in _entries(path, lambda name: False, folders=True):
        if name != ".":
            found.add(name, None if data is _FOLDER else (), skip)
    return found.in_order()


def read(path: Path | str, wanted: Wanted, *, skip: tuple[str, ...] = ()) -> Iterator[tuple[str, bytes]]:
    """Name and content of the wanted files of a folder, a zip or a tar (plain, gz, bz2, xz).

    Folders come in sorted order, with links followed; archives come in their own order. What tree.left_by_systems
    names is left out of both, and `skip` of a folder. Raises OSError if a part of a folder cannot be read, UserError
    naming the archive if it is missing, broken, holds links, devices, names that point outside, a name twice, or claims
    to unpack to more than is plausible.
    """
    path = Path(path)
    if path.is_dir():
        for name in filter(wanted, listing(path, skip=skip).names):
            yield name, (path / name).read_bytes()
        return
    for name, data in _entries(path, lambda name: not tree.left_by_systems(name) and wanted(name)):
        if data is not None:
            yield name, data


def checksum(path: Path | str, *, skip: tuple[str, ...] = ()) -> str:
    """Hexadecimal SHA-256 of an archive, or of the names and contents of a folder's files."""
    return tree.digests(Path(path), skip=skip)["sha256"]


def _entries(path: Path, wanted: Wanted, *, folders: bool = False) -> Iterator[tuple[str, bytes | None]]:
    """Every file of an archive, with its content where wanted; its folders, with _FOLDER, where these are asked for."""
    if not path.exists():
        raise UserError(f"{path}: no such file or folder; fetch it, or give its place")
    try:
        with path.open("rb") as file:
            start = file.read(4)
        # by its first bytes: zipfile.is_zipfile also takes a tar for a zip whose last file is one
        entries = _zip_entries if start in (b"PK\3\4", b"PK\5\6") else _tar_entries
        for name, data in entries(path, wanted):
            if data is not _FOLDER or folders:
                yield name, data
    except PermissionError:
        raise
    except _BROKEN as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: not a whole zip or tar archive ({reason}); fetch it again") from error


class _Guard:
    """Refuses what no honest archive of images holds."""

    def __init__(self, path: Path) -> None:
        self._path, self._seen, self._total = path, set[str](), 0
        self._limit = max(RATIO_FREE, RATIO_LIMIT * path.stat().st_size)

    def folder(self, name: str) -> str:
        """The name of a folder; nothing is ever made under it, so it is only cleaned."""
        tree.require_text(self._path, name)
        return PurePosixPath(name.replace("\\", "/")).as_posix()

    def name(self, name: str, size: int, link_or_device: bool) -> str:
        """The name to use. Raises UserError for a member that is refused."""
        tree.require_text(self._path, name)
        if link_or_device:
            raise self._refuse(name, "is a link or a device")
        pure = PurePosixPath(name.replace("\\", "/"))
        if pure.is_absolute() or ".." in pure.parts or not pure.parts:
            raise self._refuse(name, "points outside")
        clean = name if pure.as_posix() == name else pure.as_posix()  # one text in memory for each of many names
        if clean in self._seen:
            raise self._refuse(name, "is there twice")
        self._seen.add(clean)
        self._total += size
        if size < 0 or size > MEMBER_LIMIT or self._total > self._limit:
            raise self._refuse(name, f"claims {size} bytes unpacked ({self._total} so far), which is not plausible")
        return clean

    def _refuse(self, name: str, why: str) -> UserError:
        return UserError(f"{self._path}: refused, because {name!r} {why}; pack plain files only")


def _zip_entries(path: Path, wanted: Wanted) -> Iterator[tuple[str, bytes | None]]:
    guard = _Guard(path)
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.is_dir():
                yield guard.folder(member.filename), _FOLDER
                continue
            kind = stat.S_IFMT(member.external_attr >> 16)
            name = guard.name(member.filename, member.file_size, kind not in (0, stat.S_IFREG))
            yield name, archive.read(member) if wanted(name) else None


class _Header(tarfile.TarInfo):
    """A member's header, refused before tarfile acts upon it: it would read gigabytes, or go back in the file."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        header = super().frombuf(buf, encoding, errors)
        extended = header.type not in (*tarfile.REGULAR_TYPES, tarfile.DIRTYPE)
        if header.size < 0 or (extended and header.size > HEADER_LIMIT):
            raise ValueError(f"a header claims {header.size} bytes")
        return header


def _tar_entries(path: Path, wanted: Wanted) -> Iterator[tuple[str, bytes | None]]:
    guard = _Guard(path)
    with tarfile.open(path, tarinfo=_Header) as archive:
        for member in archive:
            archive.members = []  # type: ignore[attr-defined]  # tarfile would keep them all
            if member.isdir():
                yield guard.folder(member.name), _FOLDER
                continue
            name = guard.name(member.name, member.size, not member.isreg() or member.issparse())
            file = archive.extractfile(member) if wanted(name) else None
            data = file.read() if file else None
            if data is not None and len(data) != member.size:
                raise tarfile.ReadError(f"{name} is cut off")
            yield name, data
        # tarfile takes a file that was cut between two members for a whole one
        assert archive.fileobj is not None
        archive.fileobj.seek(archive.offset)
        if archive.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("its end mark is missing")
