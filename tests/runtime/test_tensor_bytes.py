"""Bytes of tensors are read and written as safetensors does."""

from pathlib import Path

import safetensors.torch

from diffdistill.runtime import tensor_bytes, tensor_files
from tests.runtime.test_tensor_files import TENSORS


def test_a_copy_is_the_same_file(tmp_path: Path) -> None:
    tensor_files.save(tmp_path / "a", TENSORS, {"x": "é"})
    stored, metadata = tensor_bytes.read(tmp_path / "a")
    tensor_bytes.write(tmp_path / "b", stored, metadata)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert {name: (one.dtype, list(one.shape)) for name, one in stored.items()} == {
        "a": ("I64", [2, 3]), "half": ("BF16", [2]), "bytes": ("U8", [5]), "strided": ("F32", [4, 3]),
        "empty": ("F32", [0, 3]),
    }  # fmt: skip


def test_what_safetensors_wrote_is_read(tmp_path: Path) -> None:
    safetensors.torch.save_file({"a": TENSORS["a"]}, tmp_path / "a", {"x": "y"})
    stored, metadata = tensor_bytes.read(tmp_path / "a", lambda name: name == "a")
    assert bytes(stored["a"].data) == TENSORS["a"].numpy().tobytes() and metadata == {"x": "y"}
