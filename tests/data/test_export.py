"""What is exported loads back with equal pixels and labels, by the readers that others use."""

import io
import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import ImageFolder

from diffdistill.classify.convnet import ConvNet
from diffdistill.classify.training import Classifier
from diffdistill.data import export, folder
from diffdistill.data.image_files import ImageSet
from diffdistill.errors import UserError
from diffdistill.runtime.seeds import generator

NAMES = ["apple/red", "con", "crème brûlée", "Zebra"]


def drawn(channels: int = 3, count: int = 26, classes: list[str] = NAMES) -> ImageSet:
    """Round-robin labels, as they are drawn; the last classes have an image less."""
    images = torch.randint(256, (count, channels, 8, 8), generator=generator("export"), dtype=torch.uint8)
    return ImageSet(images, torch.arange(count) % len(classes), classes, {"classes": json.dumps(classes)})


def test_names_are_safe_and_keep_the_order() -> None:
    assert export.folder_names(["0", "1", "n03444034"]) == ["0", "1", "n03444034"]
    assert export.folder_names(NAMES) == ["0_apple_red", "1_con_", "2_cr_me_br_l_e", "3_Zebra"]
    assert export.folder_names(["A", "a"]) == ["0_A", "1_a"]
    assert export.folder_names(["..", "/"]) == ["0__", "1__"]
    many = export.folder_names([f"../{number}" for number in range(11)])
    assert many == sorted(many) and many[10] == "10__10"
    assert all(len(name) < 120 for name in export.folder_names(["x" * 300]))


@pytest.mark.parametrize("channels", [1, 3])
def test_the_zip_is_an_image_folder(tmp_path: Path, channels: int) -> None:
    data = drawn(channels)
    export.write_images(tmp_path / "images.zip", data)
    with zipfile.ZipFile(tmp_path / "images.zip") as archive:
        archive.extractall(tmp_path)
    read = ImageFolder(str(tmp_path / "train"), loader=lambda path: np.array(Image.open(path)))
    order = export.by_class(data.labels[:24], 4)  # six of each, and two more of the first two
    order = torch.cat([order[:6], torch.tensor([24]), order[6:12], torch.tensor([25]), order[12:]])
    assert [label for _, label in read] == data.labels[order].tolist()
    for (pixels, _), place in zip(read, order.tolist(), strict=True):
        expected = data.images[place].permute(1, 2, 0).numpy()
        assert np.array_equal(pixels.reshape(expected.shape), expected)
    ours = folder.read(tmp_path / "images.zip")
    assert np.array_equal(ours.train_images, data.images[order].numpy())
    assert np.array_equal(ours.train_labels, data.labels[order].numpy())


def test_every_picture_names_its_digital_source_type(tmp_path: Path) -> None:
    export.write_images(tmp_path / "images.zip", drawn(count=4))
    with zipfile.ZipFile(tmp_path / "images.zip") as archive:
        marked = [b"digitalsourcetype/trainedAlgorithmicMedia" in archive.read(name) for name in archive.namelist()]
    assert marked == [True] * 4


def test_the_challenges_file_scores_as_our_images_do(tmp_path: Path) -> None:
    data, statistics = drawn(), ([0.5, 0.4, 0.3], [0.2, 0.25, 0.3])
    export.write_challenge(tmp_path / "challenge.pt", data, *statistics, None)
    tensor = torch.load(tmp_path / "challenge.pt", weights_only=True)
    assert tensor.shape == (24, 3, 8, 8) and tensor.dtype == torch.float32
    order = export.by_class(data.labels, 4)
    assert data.labels[order].tolist() == [0] * 6 + [1] * 6 + [2] * 6 + [3] * 6
    shape = {"num_classes": 4, "img_size": 8, "width": 8}
    network = ConvNet(**shape)
    ours = Classifier(network, statistics)(data.images[order])
    assert torch.allclose(network(tensor), ours, atol=1e-5)
    export.write_challenge(tmp_path / "ten.pt", data, *statistics, 2)
    assert torch.equal(torch.load(tmp_path / "ten.pt", weights_only=True)[2:4], tensor[6:8])


def test_an_image_of_the_mean_colour_becomes_nothing(tmp_path: Path) -> None:
    grey = ImageSet(torch.full((2, 1, 8, 8), 102, dtype=torch.uint8), torch.arange(2), ["a", "b"], {})
    export.write_challenge(tmp_path / "challenge.pt", grey, [0.4], [0.25], None)
    tensor = torch.load(tmp_path / "challenge.pt", weights_only=True)
    assert tensor.shape == (2, 3, 8, 8) and float(tensor.abs().max()) < 0.01


def test_a_class_without_enough_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="class 2 has 6 images, 7 are needed"):
        export.write_challenge(tmp_path / "challenge.pt", drawn(), [0.5] * 3, [0.5] * 3, 7)
    with pytest.raises(UserError, match="class 3 has 0 images"):
        export.by_class(torch.tensor([0, 1, 2]), 4)
    with pytest.raises(UserError, match="2 channels"):
        export.write_images(tmp_path / "images.zip", drawn(channels=2))
    assert not list(tmp_path.iterdir())


def test_twice_made_is_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        export.write_images(tmp_path / f"{name}.zip", drawn())
        export.write_challenge(tmp_path / f"{name}.pt", drawn(), [0.5] * 3, [0.5] * 3, None)
    for ending in ("zip", "pt"):
        assert (tmp_path / f"a.{ending}").read_bytes() == (tmp_path / f"b.{ending}").read_bytes()


def test_parquet_holds_pictures_and_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(export, "ROWS", 10)
    data = drawn()
    export.write_parquet(tmp_path / "train.parquet", data)
    table = parquet.read_table(tmp_path / "train.parquet")
    assert table["label"].to_pylist() == data.labels.tolist()
    for row, picture in enumerate(table["image"].to_pylist()):
        pixels = np.array(Image.open(io.BytesIO(picture["bytes"])))
        assert np.array_equal(pixels, data.images[row].permute(1, 2, 0).numpy())
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert features["label"] == {"_type": "ClassLabel", "names": NAMES} and features["image"] == {"_type": "Image"}


def test_parquet_through_hugging_faces_reader(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    data = drawn()
    export.write_parquet(tmp_path / "train.parquet", data)
    read = datasets.load_dataset("parquet", data_files=str(tmp_path / "train.parquet"), cache_dir=str(tmp_path))
    rows = read["train"]
    assert rows.features["label"].names == NAMES and rows["label"] == data.labels.tolist()
    assert np.array_equal(np.array(rows[5]["image"]), data.images[5].permute(1, 2, 0).numpy())


def test_parquet_without_pyarrow_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match=r"pip install 'diffdistill\[export\]'"):
        export.write_parquet(tmp_path / "train.parquet", drawn())
    assert not list(tmp_path.iterdir())
