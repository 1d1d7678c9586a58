"""TinyImageNet: labels from the annotations, class numbers from the sorted ids."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diffdistill.data import tinyimagenet
from diffdistill.errors import UserError

ROOT = "tiny-imagenet-200/"


def picture(level: int, mode: str = "RGB", side: int = 64) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (side, side), level if mode == "L" else (level, 0, 255 - level)).save(buffer, "PNG")
    return buffer.getvalue()


def small(**changed: bytes | None) -> dict[str, bytes]:
    """Two classes, listed in the order that is not the sorted one."""
    files = {
        "wnids.txt": b"n2\nn1\n",
        "words.txt": b"n1\tcat, true cat\nn2\tdog\nn3\tcow\n",
        "train/n1/n1_boxes.txt": b"",
        "train/n1/images/n1_0.JPEG": picture(10),
        "train/n2/images/n2_0.JPEG": picture(20, "L"),
        "val/val_annotations.txt": b"val_1.JPEG\tn2\t0\t0\t9\t9\nval_0.JPEG\tn1\t0\t0\t9\t9\n",
        "val/images/val_0.JPEG": picture(30),
        "val/images/val_1.JPEG": picture(40),
        "test/images/test_0.JPEG": b"not even read",
    }
    for name, data in changed.items():
        assert name in files
        if data is None:
            del files[name]
        else:
            files[name] = data
    return files


def pack(path: Path, contents: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in contents.items():
            archive.writestr(ROOT + name, data)
    return path


def test_labels_and_order(tmp_path: Path) -> None:
    raw = tinyimagenet.read(pack(tmp_path / "x.zip", small()))
    assert raw.test_images is not None and raw.test_labels is not None
    assert raw.classes == ["n1", "n2"] and raw.class_titles == ["cat, true cat", "dog"]
    assert raw.train_labels.tolist() == [0, 1] and raw.test_labels.tolist() == [1, 0]
    assert np.asarray(raw.train_images)[:, :, 5, 5].tolist() == [[10, 0, 245], [20, 20, 20]]
    assert np.asarray(raw.test_images)[:, 0, 0, 0].tolist() == [40, 30]
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        archive.extractall(tmp_path)
    assert np.array_equal(tinyimagenet.read(tmp_path / ROOT).train_images, raw.train_images)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"val/val_annotations.txt": b"val_1.JPEG\tn2\t0\n"}, r"val_annotations\.txt has no line for 1 .*val_0\.JPEG"),
        ({"val/images/val_1.JPEG": None}, r"val_annotations\.txt names absent 1 .*val_1\.JPEG"),
        ({"val/val_annotations.txt": None}, r"val_annotations\.txt is missing"),
        ({"val/val_annotations.txt": b"val_1.JPEG\tn3\nval_0.JPEG\tn1"}, r"val_annotations\.txt gives .* 'n3'"),
        ({"wnids.txt": b"n1\n"}, "n2_0"),
        ({"train/n1/images/n1_0.JPEG": picture(1)[:60]}, r"1 file is .*n1_0\.JPEG"),
        ({"train/n1/images/n1_0.JPEG": picture(1, side=32)}, "32x32 pixels instead of 64x64"),
    ],
)
def test_lists_and_pictures_must_agree(tmp_path: Path, changed: dict[str, bytes | None], message: str) -> None:
    with pytest.raises(UserError, match=message):
        tinyimagenet.read(pack(tmp_path / "x.zip", small(**changed)))


@pytest.mark.slow
def test_the_real_subset(shared: Path) -> None:
    raw = tinyimagenet.read(shared / "data" / "tiny-imagenet-200-subset.zip")
    assert raw.test_images is not None and raw.test_labels is not None
    assert raw.train_images.shape == (6000, 3, 64, 64) and raw.test_images.shape == (2000, 3, 64, 64)
    assert np.bincount(raw.train_labels).tolist() == [30] * 200
    assert np.bincount(raw.test_labels).tolist() == [10] * 200
    assert raw.test_labels[0] == 107 and raw.classes[107] == "n03444034"
    assert raw.classes[raw.test_labels[1]] == "n04067472"
    assert raw.class_titles is not None and raw.class_titles[107] == "go-kart"


@pytest.mark.slow
def test_the_real_subset_without_one_line(shared: Path, tmp_path: Path) -> None:
    with (
        zipfile.ZipFile(shared / "data" / "tiny-imagenet-200-subset.zip") as real,
        zipfile.ZipFile(tmp_path / "x.zip", "w") as copy,
    ):
        for name in real.namelist():
            data = real.read(name)
            if name.endswith("val_annotations.txt"):
                data = data.split(b"\n", 1)[1]
            copy.writestr(name, data)
    with pytest.raises(UserError, match=r"val_annotations\.txt has no line for 1 pictures, val_0\.JPEG"):
        tinyimagenet.read(tmp_path / "x.zip")
