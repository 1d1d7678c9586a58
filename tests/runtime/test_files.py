"""A file is whole or absent; what is not whole is named."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from diffdistill.errors import UserError
from diffdistill.runtime import files, tensor_files


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    files.write_json(target, {"old": 1})
    with pytest.raises(RuntimeError), files.replacing(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert files.read_json(target) == {"old": 1}
    assert list(tmp_path.iterdir()) == [target]


def test_non_finite_numbers_never_reach_a_json_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        files.write_json(tmp_path / "a.json", {"fid": float("nan")})
    assert not list(tmp_path.iterdir())


def test_tensors_come_back_as_safetensors_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    tensors = {"x.a": torch.arange(6.0).reshape(2, 3).T, "x.b": torch.tensor([1, 2]), "y": torch.zeros(0, 4)}
    tensor_files.save(path, tensors, {"key": "value"})
    loaded, metadata = tensor_files.load(path)
    assert metadata == {"key": "value"}
    for name, tensor in load_file(path).items():
        assert torch.equal(loaded[name], tensor) and torch.equal(tensors[name], tensor)
    assert list(tensor_files.load(path, lambda name: name == "x.b")[0]) == ["x.b"]


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.int64, torch.int32, torch.uint8, torch.bool])
def test_every_type_of_number_is_written_as_safetensors_reads_it(tmp_path: Path, dtype: torch.dtype) -> None:
    odd, single = (torch.arange(3) % 2).to(dtype), torch.tensor(1).to(dtype)
    tensor_files.save(tmp_path / "a.safetensors", {"odd": odd, "single": single, "wide": torch.ones(2)}, {"é": "ü"})
    for loaded in (load_file(tmp_path / "a.safetensors"), tensor_files.load(tmp_path / "a.safetensors")[0]):
        assert loaded["odd"].dtype == dtype and torch.equal(loaded["odd"], odd)
        assert torch.equal(loaded["single"], single) and torch.equal(loaded["wide"], torch.ones(2))
    assert tensor_files.load(tmp_path / "a.safetensors")[1] == {"é": "ü"}


def test_a_file_of_tensors_is_as_open_as_any_other(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    tensor_files.save(tmp_path / "a.safetensors", {"x": torch.zeros(3)}, {})
    assert (tmp_path / "a.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("keep", [0, 4, 20, 100, -1])
def test_a_cut_file_is_named(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "a.safetensors"
    tensor_files.save(path, {"x": torch.zeros(64)}, {})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"a\.safetensors.*delete it and run again"):
        tensor_files.load(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.safetensors: no such file"):
        tensor_files.load(tmp_path / "none.safetensors")


def test_a_folder_takes_the_place_of_the_old_one_whole(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "folder"
    for name in ("old", "new"):
        with files.replacing_folder(folder) as temporary:
            (temporary / name).write_text(name)
    assert [path.name for path in folder.iterdir()] == ["new"]
    with pytest.raises(RuntimeError, match="failed"), files.replacing_folder(folder) as temporary:
        (temporary / "half").write_text("")
        raise RuntimeError("failed")
    assert [path.name for path in folder.iterdir()] == ["new"]
    assert [path.name for path in folder.parent.iterdir()] == ["folder"]


def test_some_rows_of_a_tensor_are_what_a_full_read_gives(tmp_path: Path) -> None:
    tensors = {
        "x": torch.arange(24).reshape(6, 2, 2),
        "y": torch.arange(6, dtype=torch.uint8),
        "none": torch.empty(0, 3),
    }
    tensor_files.save(tmp_path / "x.safetensors", tensors, {})
    for rows in ([5, 0, 0], [], [2]):
        assert torch.equal(tensor_files.load_rows(tmp_path / "x.safetensors", "x", rows), tensors["x"][rows])
    assert tensor_files.load_rows(str(tmp_path / "x.safetensors"), "y", [3]).tolist() == [3]
    assert tensor_files.load_rows(tmp_path / "x.safetensors", "none", []).shape == (0, 3)
    for row in (6, -1):
        with pytest.raises(IndexError, match="6 rows"):
            tensor_files.load_rows(tmp_path / "x.safetensors", "x", [row])
    with pytest.raises(KeyError, match="no tensor z"):
        tensor_files.load_rows(tmp_path / "x.safetensors", "z", [])
    with pytest.raises(UserError, match=r"absent\.safetensors"):
        tensor_files.load_rows(tmp_path / "absent.safetensors", "x", [])
