"""Files that are whole or absent: written beside their name, flushed, then moved into place."""

import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from diffdistill.errors import UserError


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; move it into place if the block ends without an exception.

    What a killed process left of the same file is removed first. Raises OSError naming `path` if it cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = _temporary(path)
    except OSError as error:
        raise _about(path, error) from error
    umask = os.umask(0)
    os.umask(umask)
    try:
        with suppress(OSError):  # some mounts have one mode for all files and refuse another
            temporary.chmod(0o666 & ~umask)  # mkstemp's 0600 would lock out the user's group
        yield temporary
        _flush(temporary)
        temporary.replace(path)
        with suppress(OSError):  # the file is whole and in place; the folder's flush hardens only its name
            _flush(path.parent)
    except OSError as error:
        if error.errno is None or error.filename not in (None, str(temporary), str(path.parent)):
            raise  # of another file
        raise _about(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        os.close(handle)


@contextmanager
def replacing_folder(path: Path | str) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; it takes the place of `path` if the block ends without an exception.

    Raises OSError naming a folder that cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{path.name}.part-*"):
        shutil.rmtree(left, ignore_errors=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.part-"))
    umask = os.umask(0)
    os.umask(umask)
    try:
        temporary.chmod(0o777 & ~umask)
        yield temporary
        if path.exists():
            path.rename(temporary.with_name(f"{temporary.name}.old"))  # rename replaces only an empty folder
        temporary.rename(path)
    finally:
        for left in (temporary, temporary.with_name(f"{temporary.name}.old")):
            shutil.rmtree(left, ignore_errors=True)


def _temporary(path: Path) -> tuple[int, Path]:
    """A new file beside `path`, locked as long as its descriptor is open: a lock that is free means a dead writer."""
    prefix = f".{path.name}.part-"
    left = re.compile(re.escape(prefix) + "[a-z0-9_]{8}" + re.escape(path.suffix))
    for found in path.parent.iterdir():
        if left.fullmatch(found.name):
            with suppress(OSError), found.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                found.unlink()
    while True:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=prefix, suffix=path.suffix)
        taken = False
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            taken = True
        except OSError:
            pass  # a file system without locks keeps what is left over
        if not taken and os.fstat(handle).st_nlink:
            return handle, Path(temporary)
        os.close(handle)  # another process took it for left over before it was locked


def _about(path: Path, error: OSError) -> OSError:
    if error.errno == errno.ENOSPC:
        return OSError(error.errno, f"{os.strerror(errno.ENOSPC)} ({megabytes(free(path))} free)", str(path))
    return OSError(error.errno, error.strerror, str(path))


def require_room(path: Path | str, needed: int) -> None:
    """Raises OSError naming `path` with the bytes needed and free, if its file system has fewer than `needed`.

    A quota shows only when it is reached.
    """
    found = free(path)
    if found < needed:
        reason = f"{os.strerror(errno.ENOSPC)} ({megabytes(needed)} needed, {megabytes(found)} free)"
        raise OSError(errno.ENOSPC, reason, str(path))


def free(path: Path | str) -> int:
    """Bytes that this user may still write on the file system of `path`, whose folder may not exist yet."""
    folder = Path(path).parent
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"


NO_FSYNC = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}
"""Errors of fsync on file systems without it; others say that bytes were lost."""


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in NO_FSYNC:
            raise
    finally:
        os.close(descriptor)


def write_text(path: Path | str, text: str) -> None:
    path = Path(path)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path | str, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: Path | str) -> Any:
    """Raises UserError if the file is missing or no JSON."""
    path = Path(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; run the rule that makes it") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"{path}: not valid JSON ({error}); delete it and run again") from error


def read_record(path: Path | str, *keys: str) -> dict[str, Any]:
    """A JSON object that has these keys. Raises UserError as read_json does, and naming a key that is not there."""
    return _record(path, read_json(path), keys)


def read_records(path: Path | str, *keys: str) -> list[dict[str, Any]]:
    """A JSON list of such objects, at least one. Raises UserError as read_record does."""
    records = read_json(path)
    if not isinstance(records, list) or not records:
        raise UserError(f"{path}: holds no list, so it was not made by this stage; delete it and run again")
    return [_record(path, record, keys) for record in records]


def _record(path: Path | str, record: Any, keys: Sequence[str]) -> dict[str, Any]:
    missing = [key for key in keys if not isinstance(record, dict) or key not in record]
    if missing:
        raise UserError(f"{path}: has no '{missing[0]}', so it was not made by this stage; delete it and run again")
    return dict(record)


def sha256(path: Path | str) -> str:
    """Hexadecimal digest of a file's bytes."""
    path = Path(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
