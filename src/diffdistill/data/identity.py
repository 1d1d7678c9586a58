"""What identifies the content of a source, so that equal content is not prepared twice. Imports no torch, no NumPy."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from diffdistill.runtime import files


@dataclass(frozen=True)
class Record:
    """What is known of a source since it was last prepared."""

    version: str
    """Stays the same as long as the content does."""
    fingerprint: str
    """What is cheap to know of the content: see tree.fingerprint."""
    digests: dict[str, str]
    """Hexadecimal digests of the content by algorithm."""
    deciding: str
    """Everything that decides the splits."""
    inputs: list[str]
    """The files that the job was given."""
    facts: dict[str, Any] = field(default_factory=dict)
    """Classes, images of the smallest class and their size, for the checks of a dry run."""

    def same_content(self, digests: Mapping[str, str]) -> bool:
        """Whether one of the digests is that of the recorded content."""
        return any(self.digests.get(algorithm) == digest for algorithm, digest in digests.items())


def read(path: Path | str) -> Record | None:
    """The record; None if there is none, or none that can be used."""
    try:
        return Record(**json.loads(Path(path).read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
        return None


def write(path: Path | str, record: Record) -> None:
    """Write the record. Raises OSError naming the file."""
    files.write_json(Path(path), asdict(record))


def refresh(path: Path | str, record: Record) -> None:
    """Write the record if that is possible: it only spares the next dry run from reading the whole content."""
    with suppress(OSError):
        write(path, record)
