"""IDX files, packed or not."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from diffdistill.data import idx
from diffdistill.errors import UserError


def encoded(array: np.ndarray) -> bytes:  # type: ignore[type-arg]
    head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return head + array.astype(np.uint8).tobytes()


def write(folder: Path, images: np.ndarray, labels: np.ndarray, part: str = "train") -> None:  # type: ignore[type-arg]
    (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(encoded(images)))
    (folder / f"{part}-labels-idx1-ubyte").write_bytes(encoded(labels))


IMAGES = np.arange(12 * 5 * 4).reshape(12, 5, 4) % 256


def test_images_labels_and_names(tmp_path: Path) -> None:
    write(tmp_path, IMAGES, np.arange(12))
    raw = idx.read(tmp_path)
    assert np.array_equal(raw.train_images[:, 0], IMAGES) and raw.test_images is None
    assert raw.classes[:3] == ["00", "01", "02"] and raw.train_labels.tolist() == list(range(12))
    write(tmp_path, IMAGES[:2], np.array([1, 0]), "t10k")
    write(tmp_path, IMAGES, np.arange(12) % 10)
    raw = idx.read(tmp_path, classes=idx.FASHION_MNIST)
    assert raw.test_labels is not None
    assert [raw.classes[label] for label in raw.test_labels] == ["Trouser", "T-shirt/top"]


def test_broken_files_are_named(tmp_path: Path) -> None:
    write(tmp_path, IMAGES, np.arange(11))
    with pytest.raises(UserError, match=r"12 images .* 11 labels"):
        idx.read(tmp_path)
    labels = tmp_path / "train-labels-idx1-ubyte"
    labels.write_bytes(encoded(np.arange(12))[:-1])
    with pytest.raises(UserError, match="train-labels-idx1-ubyte is not a whole IDX"):
        idx.read(tmp_path)
    labels.unlink()
    with pytest.raises(UserError, match=r"train-labels-idx1-ubyte .*is missing"):
        idx.read(tmp_path)
    write(tmp_path, IMAGES, np.arange(12))
    packed = tmp_path / "train-images-idx3-ubyte.gz"
    packed.write_bytes(packed.read_bytes()[:50])
    with pytest.raises(UserError, match=r"train-images-idx3-ubyte\.gz is not a whole IDX"):
        idx.read(tmp_path)
