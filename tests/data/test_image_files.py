"""Images come back as they were, whatever their memory looks like."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from diffdistill.data import image_files, selection
from diffdistill.errors import UserError

METADATA = {"classes": json.dumps(["a", "b", "c"]), "source_checksum": "x"}
X = np.random.default_rng(0).integers(0, 256, size=(11, 3, 5, 4), dtype=np.uint8)
Y = np.arange(11) % 3


@pytest.mark.parametrize("view", ["transposed", "reversed", "strided", "plain"])
def test_any_view_loads_back_equal(tmp_path: Path, view: str) -> None:
    x = {"transposed": X.transpose(0, 3, 1, 2), "reversed": X[::-1], "strided": X[:, :, ::2], "plain": X}[view]
    image_files.save(tmp_path / "x.safetensors", x, Y, METADATA)
    loaded = image_files.load(tmp_path / "x.safetensors")
    assert np.array_equal(loaded.images.numpy(), x) and np.array_equal(loaded.labels.numpy(), Y)
    assert loaded.classes == ["a", "b", "c"]


def test_the_writer_streams_what_save_writes(tmp_path: Path) -> None:
    x, y = torch.from_numpy(X), torch.from_numpy(Y)
    with image_files.Writer(tmp_path / "x.safetensors", (3, 5, 4), METADATA) as writer:
        for first in range(0, 11, 4):
            writer.append(x[first : first + 4], y[first : first + 4])
        writer.finish()
    loaded = image_files.load(tmp_path / "x.safetensors")
    assert torch.equal(loaded.images, x) and torch.equal(loaded.labels, y) and loaded.metadata == METADATA
    assert torch.equal(load_file(tmp_path / "x.safetensors")["labels"], y)


@pytest.mark.parametrize("count", [0, 1, 11])
def test_a_streamed_file_equals_a_saved_one(tmp_path: Path, count: int) -> None:
    x, y = torch.from_numpy(X[:count, :1, :3, :1]), torch.from_numpy(Y[:count])
    final = METADATA | {"note": "é" * 5000}
    with image_files.Writer(tmp_path / "a.safetensors", (1, 3, 1), METADATA) as writer:
        buffer = torch.empty(1, 1, 3, 1, dtype=torch.uint8)
        for image, label in zip(x, y, strict=True):
            buffer[0] = image
            writer.append(buffer, label[None])
        writer.finish(final)
    image_files.save(tmp_path / "b.safetensors", x, y, final)
    streamed, saved = image_files.load(tmp_path / "a.safetensors"), image_files.load(tmp_path / "b.safetensors")
    assert torch.equal(streamed.images, saved.images) and torch.equal(streamed.labels, saved.labels)
    assert streamed.metadata == saved.metadata == final and sorted(tmp_path.iterdir())[2:] == []
    labels, metadata = image_files.load_labels_and_metadata(tmp_path / "a.safetensors")
    assert torch.equal(labels, y) and metadata == final
    assert torch.equal(load_file(tmp_path / "a.safetensors")["images"], x)


@pytest.mark.parametrize("classes", ["{", "3", '["a", "a", "b"]', "[1, 2, 3]", '["a"]'])
def test_a_file_with_other_contents_is_named(tmp_path: Path, classes: str) -> None:
    path = tmp_path / "x.safetensors"
    save_file({"images": torch.from_numpy(X), "labels": torch.from_numpy(Y)}, path, {"classes": classes})
    for reader in (image_files.load, image_files.load_labels_and_metadata):
        with pytest.raises(UserError, match=r"x\.safetensors: not a set"):
            reader(path)


def test_a_writer_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), image_files.Writer(tmp_path / "x.safetensors", (3, 5, 4), METADATA) as writer:
        writer.append(torch.from_numpy(X), torch.from_numpy(Y))
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_floats_become_bytes_by_clamping_then_rounding() -> None:
    x = torch.tensor([-1.0, -7.0, 0.0, 1.0, 1.5])
    assert image_files.to_bytes(x).tolist() == [0, 0, 128, 255, 255]
    every = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(image_files.to_bytes(image_files.from_bytes(every)), every)
    for broken in ("nan", "inf", "-inf"):
        with pytest.raises(UserError, match="holds NaN or inf"):
            image_files.to_bytes(torch.tensor([float(broken)]))


def test_wrong_types_and_labels_are_refused(tmp_path: Path) -> None:
    for x, y in ((X.astype(float), Y), (X, Y.astype(np.int32)), (X, Y + 1), (X, Y[:5])):
        with pytest.raises(ValueError, match=r"must be|do not fit"):
            image_files.save(tmp_path / "x.safetensors", x, y, METADATA)
    assert not list(tmp_path.iterdir())


def test_another_order_of_classes_is_refused(tmp_path: Path) -> None:
    one = image_files.ImageSet(torch.from_numpy(X), torch.from_numpy(Y), ["a", "b", "c"], {})
    other = image_files.ImageSet(one.images, one.labels, ["a", "c", "b"], {})
    image_files.require_same_classes(Path("one"), one, Path("one"), one)
    with pytest.raises(UserError, match="'b' against 'c'"):
        image_files.require_same_classes(Path("one"), one, Path("other"), other)


def test_two_files_of_other_origin_are_refused_with_both_values() -> None:
    cuts = [json.dumps({"kind": "folder", "path": "x" * 500, "seed": seed, "size": None}) for seed in (0, 7)]
    one, other = ({"source_checksum": "same", "cut": cut} for cut in cuts)
    image_files.require_same_origin(Path("one"), one, Path("other"), one)
    image_files.require_same_origin(Path("one"), one, Path("other"), {})  # what says nothing of itself is not compared
    with pytest.raises(UserError, match=r'one and other .*: cut ….*"seed": 0.* against ….*"seed": 7') as error:
        image_files.require_same_origin(Path("one"), one, Path("other"), other)
    assert "xxxxx" not in str(error.value)
    with pytest.raises(UserError, match="source_checksum same against another"):
        image_files.require_same_origin(Path("one"), one, Path("other"), {"source_checksum": "another"})


def test_random_selection_is_balanced_and_refuses_too_many() -> None:
    labels = torch.arange(40) % 4
    kept = selection.at_random(labels, 10, seed=0)
    assert torch.bincount(labels[kept]).tolist() == [3, 3, 2, 2] and len(set(kept.tolist())) == 10
    with pytest.raises(UserError, match="44 images are asked for, but there are 40"):
        selection.at_random(labels, 44, seed=0)
