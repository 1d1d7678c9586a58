"""Files of named tensors with metadata: safetensors, whole or absent, read without mapping."""

import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError

from diffdistill.errors import UserError
from diffdistill.runtime import files


def save(path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> None:
    """One safetensors file; tensors are moved to the CPU and made contiguous. Raises OSError naming it."""
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with files.replacing(path) as temporary:
        try:
            safetensors.torch.save_file(whole, temporary, metadata=dict(metadata))
        except SafetensorError as error:
            number = re.search(r"\(os error (\d+)\)", str(error))
            if number is None:
                raise
            raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error


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
