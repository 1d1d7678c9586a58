"""Sub-classes by the classifier as a job."""

import json
from pathlib import Path

import pytest
import torch

from diffdistill.classify.convnet import ConvNet
from diffdistill.classify.training import Classifier
from diffdistill.config import stages
from diffdistill.data import image_files
from diffdistill.runtime import tensor_files
from tests import command

METADATA = {"classes": json.dumps(["a", "b", "c"]), "source_checksum": "none"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images = torch.randint(0, 256, (60, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    image_files.save(tmp_path / "train.safetensors", images, torch.arange(60) % 3, METADATA)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = ConvNet(num_classes=3, img_size=8, width=8, depth=2)
    Classifier(network, ([0.5], [0.5])).to_file(tmp_path / "classifier.safetensors", ["a", "b", "c"])
    return tmp_path


def run(folder: Path, count: int) -> int:
    inputs = {name: folder / f"{name}.safetensors" for name in ("train", "classifier")}
    output = {"subclasses": folder / "subclasses.safetensors"}
    return command.run("subclasses", stages.Subclasses(subclasses=count, seed=0), inputs, output)


def test_subclasses_of_a_train_split(folder: Path) -> None:
    found = []
    for _ in range(2):
        assert run(folder, 3) == 0
        found.append(tensor_files.load(folder / "subclasses.safetensors")[0]["parts"])
    assert torch.equal(*found)
    counts = torch.bincount(3 * (torch.arange(60) % 3) + found[0], minlength=9).reshape(3, 3)
    assert bool((counts > 0).all()) and bool((counts.diff(dim=1) <= 0).all()) and int(counts.sum()) == 60


def test_a_class_with_too_few_images(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, 21) == 2
    assert "class 0 has 20 images, fewer than the 21 sub-classes asked for; lower train.subclasses" in (
        capsys.readouterr().err
    )
