"""Files of named tensors with metadata: safetensors, whole or absent, read without mapping."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import safetensors.torch
import torch
from safetensors import SafetensorError

from diffdistill.errors import UserError
from diffdistill.runtime import files


def save(path: Path | str, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> None:
    """One safetensors file; tensors are moved to the CPU and made contiguous. Raises OSError naming it.

    safetensors' own writer makes a temporary file too: it would outlive a kill, and put its closed mode on ours.
    """
    # large numbers first, so that all are aligned
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0]))
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in ordered}
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    for name, tensor in whole.items():
        begin, end = end, end + tensor.nbytes
        header[name] = {"dtype": _dtype(tensor), "shape": list(tensor.shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with files.replacing(path) as temporary, temporary.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor in whole.values():
            file.write(tensor.flatten().view(torch.uint8).numpy().data)


def _dtype(tensor: torch.Tensor) -> str:
    """Its name in safetensors' own writing."""
    data = safetensors.torch.save({"": tensor.new_empty(0)})
    return str(json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])[""]["dtype"])


def load(
    path: Path | str, wanted: Callable[[str], bool] = lambda name: True
) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """The wanted tensors of a safetensors file, on the CPU, and its metadata.

    The file is read with read(), not mapped: mapping fails on some network file systems. Only the wanted tensors are
    read. Raises UserError if the file is missing or not whole.
    """
    path = Path(path)
    with _opened(path) as (file, entries, metadata, begin):
        tensors = {}
        for name, entry in entries.items():
            if wanted(name):
                first, end = entry["data_offsets"]
                file.seek(begin + first)
                tensors[name] = _tensor(file.read(end - first), entry)
    return tensors, metadata


def load_rows(path: Path | str, name: str, rows: Sequence[int]) -> torch.Tensor:
    """Some rows of one tensor, in their order; nothing else is read.

    Raises UserError as load does, KeyError if there is no such tensor, IndexError for a row that it does not have.
    """
    with _opened(Path(path)) as (file, entries, _, begin):
        if name in entries:
            entry = entries[name]
            (count, *shape), (first, end) = entry["shape"], entry["data_offsets"]
            size = (end - first) // count if count else 0
            data = bytearray()
            for row in rows:
                if 0 <= row < count:
                    file.seek(begin + first + row * size)
                    data += file.read(size)
            inside = [row for row in rows if 0 <= row < count]
            tensor = _tensor(bytes(data), {**entry, "shape": [len(inside), *shape]})
    if name not in entries:
        raise KeyError(f"no tensor {name}")
    if len(inside) != len(rows):
        raise IndexError(f"{name} has {count} rows")
    return tensor


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, dict[str, Any], dict[str, str], int]]:
    """The open file, the entries of its tensors, its metadata, and the place where the tensors begin."""
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


def _tensor(data: bytes, entry: dict[str, Any]) -> torch.Tensor:
    """One tensor by safetensors' own reader: a file of a single tensor is put around its bytes."""
    header = json.dumps({"": {**entry, "data_offsets": [0, len(data)]}}).encode()
    return safetensors.torch.load(len(header).to_bytes(8, "little") + header + data)[""]
