"""Files of named tensors with metadata: safetensors, whole or absent, read without mapping."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError

from diffdistill.errors import UserError
from diffdistill.runtime import files


def save(path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> None:
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
    path: Path, wanted: Callable[[str], bool] = lambda name: True
) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """The wanted tensors of a safetensors file, on the CPU, and its metadata.

    The file is read with read(), not mapped: mapping fails on some network file systems. Only the wanted tensors are
    read. Raises UserError if the file is missing or not whole.
    """
    broken = f"{path}: not a whole safetensors file; delete it and run again"
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(8), "little")
            if length > size - 8:
                raise UserError(broken)
            header = json.loads(file.read(length))
            metadata = header.pop("__metadata__", {})
            if not all(isinstance(text, str) for text in metadata.values()):
                raise UserError(broken)
            tensors = {}
            for name, entry in header.items():
                begin, end = entry["data_offsets"]
                if not 0 <= begin <= end <= size - 8 - length:
                    raise UserError(broken)
                if wanted(name):
                    file.seek(8 + length + begin)
                    tensors[name] = _tensor(file.read(end - begin), entry)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; run the rule that makes it") from error
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(broken) from error
    return tensors, metadata


def _tensor(data: bytes, entry: dict[str, Any]) -> torch.Tensor:
    """One tensor by safetensors' own reader: a file of a single tensor is put around its bytes."""
    header = json.dumps({"": {**entry, "data_offsets": [0, len(data)]}}).encode()
    return safetensors.torch.load(len(header).to_bytes(8, "little") + header + data)[""]
