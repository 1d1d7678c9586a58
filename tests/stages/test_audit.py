"""The stage flags a set that was copied from train, and not one of other images of the same kind."""

import json
from pathlib import Path

import pytest
import torch

from diffdistill.classify.convnet import ConvNet
from diffdistill.classify.training import Classifier
from diffdistill.data import image_files
from diffdistill.diffusion import checkpoints
from diffdistill.diffusion.labels import LabelSpace
from diffdistill.runtime import files
from diffdistill.runtime.seeds import generator
from tests import command
from tests.diffusion.models import busy

CLASSES = ["a", "b"]
METADATA = {"classes": json.dumps(CLASSES), "source_checksum": "x"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Real images of two classes, smooth ones with noise; one train image stands in validation too."""
    random = generator("audit test")
    labels = torch.arange(400) % 2
    coarse = torch.rand(400, 1, 2, 2, generator=random) * 120 + 100 * labels.reshape(-1, 1, 1, 1)
    images = coarse.repeat_interleave(4, 2).repeat_interleave(4, 3) + 8 * torch.randn(400, 1, 8, 8, generator=random)
    images = images.clamp(0, 255).round().byte()
    image_files.save(tmp_path / "train", images[:200], labels[:200], METADATA)
    validation = torch.cat([images[200:250], images[:1]]), torch.cat([labels[200:250], labels[:1]])
    image_files.save(tmp_path / "validation", *validation, METADATA)
    image_files.save(tmp_path / "fresh", images[250:], labels[250:], METADATA)
    copies = (images[:200] + 4 * torch.randn(200, 1, 8, 8, generator=random)).clamp(0, 255).round().byte()
    copies[1] = images[1]
    image_files.save(tmp_path / "copies", copies, labels[:200], METADATA)
    checkpoints.save_denoiser(tmp_path / "weights", busy(labels=LabelSpace(num_classes=2)), METADATA)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = {"num_classes": 2, "img_size": 8, "width": 4, "depth": 2}
        Classifier(ConvNet(**net), ([0.5], [0.25])).to_file(tmp_path / "classifier", CLASSES)
    return tmp_path


def run(folder: Path, distilled: str, *names: str) -> dict[str, object]:
    names = names or ("weights", "classifier")
    inputs = {"distilled": folder / distilled} | {name: folder / name for name in ("train", "validation", *names)}
    outputs = {"audit": folder / "audit.json", "pairs": folder / "pairs.png"}
    assert command.run("audit", {"audit": {"times": [0.1, 0.5], "noises": 1}}, inputs, outputs) == 0
    found: dict[str, object] = files.read_json(folder / "audit.json")
    return found


def test_copies_are_flagged(folder: Path) -> None:
    found = run(folder, "copies")
    assert found["flagged"] is True and found["equal_to_a_train_image"] == 1
    assert found["images"] == {"generated": 200, "train": 199, "held_out": 50}
    assert found["duplicates_taken_out"] == {"inside_train": 0, "inside_held_out": 0, "in_both": 1}
    assert (folder / "pairs.png").read_bytes().startswith(b"\x89PNG")


def test_fresh_images_are_not(folder: Path) -> None:
    found = run(folder, "fresh")
    assert found["flagged"] is False and found["reasons"] == []
    first = (folder / "audit.json").read_bytes(), (folder / "pairs.png").read_bytes()
    run(folder, "fresh")
    assert first == ((folder / "audit.json").read_bytes(), (folder / "pairs.png").read_bytes())


def test_splits_that_are_the_same_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inputs = {name: folder / "train" for name in ("distilled", "train", "validation")}
    assert command.run("audit", {"audit": {}}, inputs, {"audit": folder / "audit.json"}) == 2
    assert "nothing is held out" in capsys.readouterr().err and not (folder / "audit.json").exists()


def test_a_set_without_weights_is_audited_by_its_images(folder: Path) -> None:
    found = run(folder, "copies", "classifier")
    assert found["membership"] is None and found["flagged"] is True
    assert set(found["nearest"]) == {"pixels", "features"}  # type: ignore[call-overload]
