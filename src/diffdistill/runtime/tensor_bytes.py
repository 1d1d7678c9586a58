"""The bytes of safetensors files, for what needs no torch: to import that takes longer than to copy the weights."""

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from safetensors import SafetensorError

from diffdistill.errors import UserError
from diffdistill.runtime import files


@dataclass(frozen=True)
class Stored:
    """One tensor: its dtype in safetensors' writing, its shape, and its bytes."""

    dtype: str
    shape: Sequence[int]
    data: Any
    """Of the buffer protocol."""
    size: int
    """Bytes."""

    @property
    def element_size(self) -> int:
        return self.size // max(1, math.prod(self.shape))


def write(path: Path | str, tensors: Mapping[str, Stored], metadata: Mapping[str, str]) -> None:
    """One safetensors file, whole or absent. Raises OSError naming it.

    safetensors' own writer makes a temporary file too: it would outlive a kill, and put its closed mode on ours.
    """
    # large numbers first, so that all are aligned
    ordered = dict(sorted(tensors.items(), key=lambda item: (-item[1].element_size, item[0])))
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    for name, one in ordered.items():
        begin, end = end, end + one.size
        header[name] = {"dtype": one.dtype, "shape": list(one.shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    files.require_room(path, 8 + len(text) + end)
    with files.replacing(path) as temporary, temporary.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for one in ordered.values():
            file.write(one.data)


def read(
    path: Path | str, wanted: Callable[[str], bool] = lambda name: True
) -> tuple[dict[str, Stored], dict[str, str]]:
    """The wanted tensors and the metadata. Raises UserError if the file is missing or not whole.

    The file is read with read(), not mapped: mapping fails on some network file systems. Nothing else is read.
    """
    with opened(path) as (file, entries, metadata, begin):
        found = {}
        for name, entry in entries.items():
            if wanted(name):
                first, end = entry["data_offsets"]
                file.seek(begin + first)
                found[name] = Stored(entry["dtype"], entry["shape"], file.read(end - first), end - first)
    return found, metadata


@contextmanager
def opened(path: Path | str) -> Iterator[tuple[BinaryIO, dict[str, Any], dict[str, str], int]]:
    """The open file, the entries of its tensors, its metadata, and the place where the tensors begin.

    Raises UserError, also for what is wrong with the entries inside the block.
    """
    path = Path(path)
    broken = f"{path}: not a whole safetensors file; delete it and run again"
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(8), "little")
            if length > size - 8:
                raise UserError(broken)
            entries = json.loads(file.read(length))
            metadata = entries.pop("__metadata__", {})
            if not all(isinstance(text, str) for text in metadata.values()):
                raise UserError(broken)
            for entry in entries.values():
                first, end = entry["data_offsets"]
                if not 0 <= first <= end <= size - 8 - length:
                    raise UserError(broken)
            yield file, entries, metadata, 8 + length
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; run the rule that makes it") from error
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(broken) from error
