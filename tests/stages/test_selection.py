"""The stage with a judge that reads the label off an image's first pixel."""

import json
from pathlib import Path

import pytest
import torch

from diffdistill.classify.convnet import ConvNet
from diffdistill.classify.training import Classifier
from diffdistill.data import image_files
from tests import command

CLASSES = ["a", "b", "c"]
METADATA = {"classes": json.dumps(CLASSES)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """samples: 30 round-robin images whose pixel names the class, but images 0 and 4 look like c; a classifier."""
    labels = torch.arange(30) % 3
    looks = labels.clone()
    looks[[0, 4]] = 2
    grey = torch.tensor([0, 128, 255], dtype=torch.uint8)[looks] + torch.arange(30) // 10 * (looks < 2)
    images = grey.to(torch.uint8).reshape(30, 1, 1, 1).expand(30, 1, 2, 2).contiguous()
    image_files.save(tmp_path / "samples", images, labels, METADATA)
    image_files.save(tmp_path / "validation", images[5:20], labels[5:20], METADATA)
    shape = {"num_classes": 3, "img_size": 2, "width": 3, "depth": 0}
    classifier = Classifier(ConvNet(**shape), ([0.5], [0.5]))
    # of an image of -1, 0 or 1 in three channels: logits 10 (-x - 1/2), 0, 10 (x - 1/2)
    slope = torch.tensor([-10.0, 0.0, 10.0])[:, None] / 12
    classifier.network.classifier = torch.nn.Linear(12, 3)
    classifier.network.classifier.weight.data = slope.expand(3, 12).contiguous()
    classifier.network.classifier.bias.data = torch.tensor([-5.0, 0.0, -5.0])
    classifier.to_file(tmp_path / "classifier", CLASSES)
    return tmp_path


def select(folder: Path, settings: dict[str, object], *names: str) -> image_files.ImageSet:
    inputs, outputs = {name: folder / name for name in ("samples", *names)}, {"distilled": folder / "distilled"}
    line = command.arguments("selection", {"select": settings}, inputs, outputs)
    assert command.main([*line, "--log", str(folder / "log")]) == 0
    return image_files.load(folder / "distilled")


def test_all_is_what_was_drawn(folder: Path) -> None:
    kept, drawn = select(folder, {"method": "all"}), image_files.load(folder / "samples")
    assert torch.equal(kept.images, drawn.images) and torch.equal(kept.labels, drawn.labels)


def test_label_noise_is_dropped(folder: Path) -> None:
    kept = select(folder, {"method": "classifier", "label_noise": "drop"}, "classifier", "validation")
    assert kept.labels.bincount().tolist() == [9, 9, 10] and kept.labels[:27].tolist() == [0, 1, 2] * 9
    account = json.loads(kept.metadata["selection"])
    assert account["label_noise_by_class"] == [1, 1, 0] and account["label_noise_was"] == "dropped"
    assert account["label_agreement"] == pytest.approx(28 / 30) and account["label_agreement_real"] == 1
    log = (folder / "log").read_text()
    assert "label agreement of 15 real images: 1.0000" in log and "by class [1, 1, 0]" in log


def test_label_noise_is_relabelled(folder: Path) -> None:
    kept = select(folder, {"method": "classifier", "label_noise": "relabel"}, "classifier")
    assert kept.labels.bincount().tolist() == [9, 9, 12]
    assert (kept.labels[(kept.images[:, 0, 0, 0] == 255)] == 2).all()


def test_unconfident_ones_are_left_alone(folder: Path) -> None:
    settings = {"method": "classifier", "label_noise": "drop", "confidence": 0.9999}
    assert len(select(folder, settings, "classifier").labels) == 30


@pytest.mark.parametrize("method", ["random", "classifier", "herding", "k_centre"])
def test_capped_sets_are_balanced_and_repeatable(folder: Path, method: str) -> None:
    names = [] if method == "random" else ["classifier"]
    kept = select(folder, {"method": method, "per_class": 4}, *names)
    assert kept.labels.tolist() == [0, 1, 2] * 4
    again = select(folder, {"method": method, "images": 12}, *names)
    assert torch.equal(kept.images, again.images)


def test_too_few_left_is_refused_in_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inputs = {name: folder / name for name in ("samples", "classifier")}
    settings = {"select": {"method": "classifier", "label_noise": "drop", "per_class": 10}}
    code = command.run("selection", settings, inputs, {"distilled": folder / "none"})
    assert code == 2 and "' has 9 images, but select.per_class is 10" in capsys.readouterr().err
    assert not (folder / "none").exists()


def test_another_order_of_classes_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Classifier.from_file(folder / "classifier").to_file(folder / "classifier", ["b", "a", "c"])
    inputs = {name: folder / name for name in ("samples", "classifier")}
    code = command.run("selection", {"select": {"method": "classifier"}}, inputs, {"distilled": folder / "none"})
    assert code == 2 and "differ in class names or their order" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "herding"}, "needs images or per_class"),
        ({"method": "all", "per_class": 3}, "takes no per_class"),
        ({"method": "random", "per_class": 3, "images": 9}, "either images or per_class"),
        ({"method": "random", "per_class": 3, "label_noise": "drop"}, "uses no classifier"),
    ],
)
def test_settings_that_do_not_fit(
    settings: dict[str, object], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.run("selection", {"select": settings}, {"samples": "a"}, {"distilled": "b"}) == 2
    assert message in capsys.readouterr().err
