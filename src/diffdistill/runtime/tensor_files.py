"""Files of named tensors with metadata: safetensors, whole or absent, read without mapping."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import safetensors.torch
import torch

from diffdistill.runtime import tensor_bytes
from diffdistill.runtime.tensor_bytes import Stored


def save(path: Path | str, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> None:
    """One safetensors file; tensors are moved to the CPU and made contiguous. Raises OSError naming it."""
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    stored = {
        name: Stored(_dtype(one), one.shape, one.flatten().view(torch.uint8).numpy().data, one.nbytes)
        for name, one in whole.items()
    }
    tensor_bytes.write(path, stored, metadata)


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
    with tensor_bytes.opened(path) as (file, entries, metadata, begin):
        tensors = {}
        for name, entry in entries.items():
            if wanted(name):
                first, end = entry["data_offsets"]
                tensors[name] = _read(file, [begin + first], end - first, entry)
    return tensors, metadata


def load_rows(path: Path | str, name: str, rows: Sequence[int]) -> torch.Tensor:
    """Some rows of one tensor, in their order; nothing else is read.

    Raises UserError as load does, KeyError if there is no such tensor, IndexError for a row that it does not have.
    """
    with tensor_bytes.opened(path) as (file, entries, _, begin):
        if name in entries:
            entry = entries[name]
            (count, *shape), (first, end) = entry["shape"], entry["data_offsets"]
            size = (end - first) // count if count else 0
            inside = [row for row in rows if 0 <= row < count]
            places = [begin + first + row * size for row in inside]
            tensor = _read(file, places, size, {**entry, "shape": [len(inside), *shape]})
    if name not in entries:
        raise KeyError(f"no tensor {name}")
    if len(inside) != len(rows):
        raise IndexError(f"{name} has {count} rows")
    return tensor


def _read(file: BinaryIO, places: Sequence[int], size: int, entry: dict[str, Any]) -> torch.Tensor:
    """One tensor of parts of `size` bytes at these places, read into its own memory, so that it is held once.

    Raises ValueError if dtype and shape do not give as many bytes, or if the file ends before.
    """
    dtype, shape = _dtype_named(entry["dtype"]), entry["shape"]
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(places) * size:
        raise ValueError(f"{dtype} of shape {shape} is not {len(places) * size} bytes")
    data = torch.empty(len(places), size, dtype=torch.uint8)
    for place, part in zip(places, data.numpy(), strict=True):
        file.seek(place)
        if file.readinto(part) != size:  # type: ignore[attr-defined]
            raise ValueError("the file ends within a tensor")
    return data.flatten().view(dtype).reshape(shape)


def _dtype_named(name: str) -> torch.dtype:
    """What safetensors' own reader makes of a name."""
    header = json.dumps({"": {"dtype": name, "shape": [0], "data_offsets": [0, 0]}}).encode()
    return safetensors.torch.load(len(header).to_bytes(8, "little") + header)[""].dtype
