"""CIFAR's archives: every byte right, and no pickle can do anything."""

import io
import json
import os
import pickle
import tarfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diffdistill.data import cifar, image_files
from diffdistill.errors import UserError

NAMES = [f"name{index}" for index in (2, 0, 1)]


def content(count: int, labels_key: str, seed: int) -> dict[str, Any]:
    data = np.random.default_rng(seed).integers(0, 256, (count, 3072), dtype=np.uint8)
    return {"data": data, labels_key: [index % 3 for index in range(count)]}


def pack(path: Path, contents: dict[str, Any]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, value in contents.items():
            data = value if isinstance(value, bytes) else pickle.dumps(value, protocol=2)
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def hundred(**changed: Any) -> dict[str, Any]:
    files = {"train": content(6, "fine_labels", 0), "test": content(3, "fine_labels", 1)}
    files["meta"] = {"fine_label_names": NAMES}
    return {f"cifar-100-python/{name}": value for name, value in (files | changed).items()}


def test_labels_go_through_the_sorted_names(tmp_path: Path) -> None:
    raw = cifar.read(pack(tmp_path / "x.tar.gz", hundred()))
    assert raw.classes == ["name0", "name1", "name2"]
    assert raw.train_labels.tolist() == [2, 0, 1, 2, 0, 1]
    expected = content(6, "fine_labels", 0)["data"].reshape(-1, 3, 32, 32)
    assert np.array_equal(raw.train_images, expected) and raw.train_images.flags.c_contiguous


def test_the_five_batches_of_cifar10_and_an_unpacked_folder(tmp_path: Path) -> None:
    folder = "cifar-10-batches-py"
    contents = {f"{folder}/data_batch_{part}": content(3, "labels", part) for part in (3, 1, 2, 5, 4)}
    contents |= {f"{folder}/test_batch": content(3, "labels", 9), f"{folder}/batches.meta": {"label_names": NAMES}}
    archive = pack(tmp_path / "x.tar.gz", contents)
    raw = cifar.read(archive)
    expected = np.concatenate([content(3, "labels", part)["data"] for part in range(1, 6)])
    assert np.array_equal(raw.train_images.reshape(15, -1), expected)
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path, filter="data")
    assert np.array_equal(cifar.read(tmp_path / folder).train_images, raw.train_images)


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {os.environ['EVIL_MARK']}",)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_that_runs_a_program_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: int
) -> None:
    monkeypatch.setenv("EVIL_MARK", str(tmp_path / "ran"))
    evil = pickle.dumps({"data": Evil()}, protocol=protocol)
    with pytest.raises(UserError, match=r"train is not a pickle of .*system") as caught:
        cifar.read(pack(tmp_path / "x.tar.gz", hundred(train=evil)))
    assert "\n" not in str(caught.value) and not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"test": {"data": np.zeros((2, 3072), np.float32), "fine_labels": [0, 1]}}, "not a pickle of"),
        ({"test": {"data": np.zeros((2, 3071), np.uint8), "fine_labels": [0, 1]}}, "3072 bytes a picture"),
        ({"test": {"data": np.zeros((2, 3072), np.uint8), "fine_labels": [0]}}, "2 numbers"),
        ({"test": {"data": np.zeros((2, 3072), np.uint8), "fine_labels": [0, 3]}}, "3 class names"),
        ({"test": b"\x80\x02garbage"}, "not a pickle of"),
    ],
)
def test_wrong_contents_are_named(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        cifar.read(pack(tmp_path / "x.tar.gz", hundred(**changed)))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    contents = hundred()
    del contents["cifar-100-python/meta"]
    with pytest.raises(UserError, match="cifar-100-python/meta' is missing"):
        cifar.read(pack(tmp_path / "x.tar.gz", contents))
    with pytest.raises(UserError, match="no cifar-100-python or cifar-10-batches-py"):
        cifar.read(pack(tmp_path / "y.tar.gz", {"a/b": {}}))


@pytest.mark.slow
def test_all_real_images_equal_the_pickles(shared: Path, tmp_path: Path) -> None:
    archive = shared / "data" / "cifar-100-python.tar.gz"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        raw = cifar.read(archive)
    assert raw.test_images is not None and raw.test_labels is not None
    image_files.save(
        tmp_path / "x.safetensors", raw.train_images, raw.train_labels, {"classes": json.dumps(raw.classes)}
    )
    loaded = image_files.load(tmp_path / "x.safetensors")
    with tarfile.open(archive) as opened, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the plain reader warns of what Python 2 stored
        parts = [pickle.load(opened.extractfile(f"cifar-100-python/{name}"), encoding="latin1")  # type: ignore[arg-type]
                 for name in ("train", "test", "meta")]  # fmt: skip
    assert np.array_equal(loaded.images.numpy(), parts[0]["data"].reshape(-1, 3, 32, 32))
    assert loaded.labels.tolist() == parts[0]["fine_labels"]
    assert np.array_equal(raw.test_images, parts[1]["data"].reshape(-1, 3, 32, 32))
    assert raw.test_labels.tolist() == parts[1]["fine_labels"]
    assert raw.classes == parts[2]["fine_label_names"]
