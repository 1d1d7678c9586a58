"""Files from the network or a local path: checked, then moved into place; whole or absent."""

import errno
import hashlib
import logging
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from diffdistill.errors import UserError
from diffdistill.runtime import files

logger = logging.getLogger("diffdistill")

TIMEOUT_SECONDS = (10.0, 60.0)
"""To connect, and between two pieces of data."""
_OURS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}
"""Errors of this machine's disk."""
_DIGITS = {"md5": 32, "sha256": 64}


def fetch(
    addresses: Sequence[str],
    checksum: str | None,
    destination: Path | str,
    *,
    unchecked: bool = False,
    progress: bool = False,
    timeout_seconds: tuple[float, float] = TIMEOUT_SECONDS,
) -> None:
    """Put the first address that gives the right file to `destination`; nothing is done if that is there already.

    addresses: http(s) or file URLs, or local paths. checksum: "md5:..." or "sha256:..."; None is allowed for local
    files, and with unchecked=True for files that are published without one: what came is then logged for the record.
    Raises UserError, in one line, naming every address with the checksum expected and found.
    """
    destination = Path(destination)
    kind, expected = _parsed(checksum)
    if not addresses:
        raise UserError(f"{destination}: there is no address to fetch it from; give one")
    if checksum is not None and destination.is_file() and _digest(destination, kind) == expected:
        return
    failures = []
    for address in addresses:
        local = _local_path(address)
        if local is None and checksum is None and not unchecked:
            raise UserError(f"{address}: no checksum is given; add md5:... or sha256:... as its publisher states it")
        try:
            with files.replacing(destination) as temporary:
                trouble = None
                if local is not None:
                    if not local.is_file():
                        raise _NotFetchedError("no such file" if not local.exists() else "not a file; read it in place")
                    shutil.copyfile(local, temporary)
                else:
                    trouble = _download(address, temporary, progress, timeout_seconds)
                _check(temporary, kind, expected, trouble)
            if local is None and not expected:
                logger.warning(
                    "%s: published without a checksum; it is sha256:%s here: compare it with a colleague's, and put it "
                    "into the config", destination, _digest(destination, kind),
                )  # fmt: skip
            return
        except _NotFetchedError as failure:
            failures.append(f"{address}: {failure}")
    remedy = "try later, give another address, or fetch it by hand and give its path"
    raise UserError(f"{destination} was not made: {'; '.join(failures)}; {remedy}")


def require(path: Path | str, checksum: str, setting: str = "the checksum") -> None:
    """Raises UserError naming both checksums if the file's is another; checksum: "md5:..." or "sha256:...".

    setting: what the caller calls it.
    """
    kind, expected = _parsed(checksum)
    found = _digest(Path(path), kind)
    if found != expected:
        raise UserError(f"{path}: expected {kind}:{expected}, found {kind}:{found}; get it again or fix {setting}")


class _NotFetchedError(Exception):
    """Why one address did not do, in one line."""


def _parsed(checksum: str | None) -> tuple[str, str]:
    """Algorithm and lower-case digits."""
    if checksum is None:
        return "sha256", ""
    kind, _, digits = checksum.strip().lower().partition(":")
    if kind not in _DIGITS or not re.fullmatch(f"[0-9a-f]{{{_DIGITS[kind]}}}", digits):
        raise UserError(f"checksum: '{checksum}' is neither md5: and 32 nor sha256: and 64 hexadecimal digits")
    return kind, digits


def _local_path(address: str) -> Path | None:
    try:
        parts = urlsplit(address)
    except ValueError as error:
        raise UserError(f"{address}: not an address ({error}); give http, https or a path") from error
    if parts.scheme.lower() in ("http", "https"):
        return None
    if parts.scheme.lower() == "file":
        return Path(unquote(parts.path))
    if "://" in address:
        raise UserError(f"{address}: '{parts.scheme}' addresses cannot be fetched; give http, https or a path")
    return Path(address).expanduser()


def _digest(path: Path, kind: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()


def _download(url: str, target: Path, progress: bool, timeout_seconds: tuple[float, float]) -> str | None:
    """What went wrong on the way, if anything did; the target holds what came."""
    import pooch  # with requests it takes half a second, which only this rule should pay
    import requests

    # unencoded, as some servers label a .tar.gz as an encoding, and it would arrive unpacked
    downloader = pooch.HTTPDownloader(
        progressbar=progress, timeout=timeout_seconds, headers={"Accept-Encoding": "identity"}
    )
    try:
        downloader(url, str(target), None)
    except (requests.RequestException, OSError, ValueError) as error:
        if not isinstance(error, requests.RequestException) and getattr(error, "errno", None) in _OURS:
            raise  # another address would not help
        return " ".join(str(error).split()) or type(error).__name__
    return None


def _check(path: Path, kind: str, expected: str, trouble: str | None) -> None:
    found, size = _digest(path, kind), path.stat().st_size
    with path.open("rb") as file:
        page = b"<html" in file.read(1024).lower()
    if trouble is None and (found == expected or not (expected or page)):
        return
    what = f" of {size} bytes" + (", a web page" if page else "") if size else ", nothing came"
    because = f" ({trouble})" if trouble else ""
    wanted = f"{kind}:{expected}" if expected else "a file"
    raise _NotFetchedError(f"expected {wanted}, found {kind}:{found}{what}{because}")
