"""Files of tensors are whole, are read in part, and are what safetensors reads."""

import json
import tracemalloc
from pathlib import Path

import pytest
import safetensors.torch
import torch

from diffdistill.errors import UserError
from diffdistill.runtime import tensor_files

TENSORS = {
    "a": torch.arange(6, dtype=torch.int64).reshape(2, 3),
    "half": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    "bytes": torch.arange(5, dtype=torch.uint8),
    "strided": torch.arange(12.0).reshape(3, 4).T,
    "empty": torch.empty(0, 3),
}


def test_what_is_saved_is_loaded_here_and_by_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    tensor_files.save(path, TENSORS, {"classes": "[]", "é": "ü"})
    found, metadata = tensor_files.load(path)
    assert metadata == {"classes": "[]", "é": "ü"}
    for name, tensor in safetensors.torch.load_file(path).items():
        assert torch.equal(tensor, TENSORS[name]) and torch.equal(found[name], tensor)
    assert found.keys() == TENSORS.keys()


def test_only_what_is_wanted_is_read(tmp_path: Path) -> None:
    tensor_files.save(tmp_path / "x", TENSORS, {})
    assert tensor_files.load(tmp_path / "x", lambda name: name == "a")[0].keys() == {"a"}


@pytest.mark.parametrize("kept", [0, 7, 40, -1])
def test_a_cut_file_is_refused(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "x"
    tensor_files.save(path, TENSORS, {})
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(UserError, match="x: not a whole safetensors file"):
        tensor_files.load(path)
    with pytest.raises(UserError, match="none: no such file"):
        tensor_files.load(tmp_path / "none")


@pytest.mark.parametrize("change", [{"shape": [4]}, {"shape": [-1]}, {"shape": [-2, -3]}, {"dtype": "X9"}])
def test_an_entry_that_does_not_fit_its_bytes_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    header = json.dumps({"a": {"dtype": "U8", "shape": [6], "data_offsets": [0, 6], **change}}).encode()
    (tmp_path / "x").write_bytes(len(header).to_bytes(8, "little") + header + bytes(6))
    with pytest.raises(UserError, match="x: not a whole safetensors file"):
        tensor_files.load(tmp_path / "x")


def test_a_tensor_is_read_into_its_own_memory(tmp_path: Path) -> None:
    tensor_files.save(tmp_path / "x", {"a": torch.zeros(2**22)}, {})
    tracemalloc.start()
    tensor_files.load(tmp_path / "x")
    tensor_files.load_rows(tmp_path / "x", "a", range(1000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20  # of 2**24; torch's memory is not traced
