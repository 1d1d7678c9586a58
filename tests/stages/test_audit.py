"""The stage flags a set that was copied from train or is train itself, and not one of other images of the kind."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from diffdistill import config
from diffdistill.classify import training
from diffdistill.data import image_files
from diffdistill.diffusion import checkpoints
from diffdistill.diffusion.labels import LabelSpace
from diffdistill.runtime import files
from diffdistill.runtime.seeds import generator
from tests import command
from tests.diffusion.models import busy

CLASSES = ["a", "b"]
METADATA = {"classes": json.dumps(CLASSES), "source_checksum": "x"}


PROTOCOL = config.Protocol(steps=40, batch_size=32, width=8, depth=2, augment="", learning_rate=0.05)
OF_THE_WEIGHTS = ("membership_loss", "membership_loss_tail")
OF_THE_SET = [name for name in config.MEASURES if name not in (*OF_THE_WEIGHTS, "label_agreement")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real images of two classes, smooth ones with noise; one train image stands in validation too."""
    path, random = tmp_path_factory.mktemp("audit"), generator("audit test")
    labels = torch.arange(800) % 2
    coarse = torch.rand(800, 1, 2, 2, generator=random) * 120 + 100 * labels.reshape(-1, 1, 1, 1)
    images = coarse.repeat_interleave(4, 2).repeat_interleave(4, 3) + 8 * torch.randn(800, 1, 8, 8, generator=random)
    images = images.clamp(0, 255).round().byte()
    image_files.save(path / "train", images[:400], labels[:400], METADATA)
    validation = torch.cat([images[400:550], images[:1]]), torch.cat([labels[400:550], labels[:1]])
    image_files.save(path / "validation", *validation, METADATA)
    image_files.save(path / "fresh", images[550:], labels[550:], METADATA)
    copies = (images[:400] + 4 * torch.randn(400, 1, 8, 8, generator=random)).clamp(0, 255).round().byte()
    copies[1] = images[1]
    image_files.save(path / "copies", copies, labels[:400], METADATA)
    noise = torch.randint(256, (400, 1, 8, 8), generator=random, dtype=torch.uint8)
    image_files.save(path / "noise", noise, labels[:400], METADATA)
    checkpoints.save_denoiser(path / "weights", busy(labels=LabelSpace(num_classes=2)), METADATA)
    classifier = training.fit(
        images[:400], labels[:400], num_classes=2, protocol=PROTOCOL, statistics=([0.5], [0.25]), seed=0,
        device=torch.device("cpu"), progress="test",
    )  # fmt: skip
    classifier.to_file(path / "classifier", CLASSES)
    return path


def run(folder: Path, distilled: str, *names: str, images: int = 10_000) -> dict[str, Any]:
    names = names or ("weights", "classifier")
    inputs = {"distilled": folder / distilled} | {name: folder / name for name in ("train", "validation", *names)}
    outputs = {"audit": folder / "audit.json", "pairs": folder / "pairs.png"}
    assert command.run("audit", {"audit": {"images": images, "times": [0.1, 0.5], "noises": 1}}, inputs, outputs) == 0
    found: dict[str, Any] = files.read_json(folder / "audit.json")
    return found


def verdicts(found: dict[str, Any]) -> dict[str, str]:
    return {measure["name"]: measure["verdict"] for measure in found["measures"]}


def test_copies_are_flagged(folder: Path) -> None:
    found = run(folder, "copies")
    assert found["verdict"] == "flagged" and found["equal_to_a_train_image"] == 1
    assert {name for name, verdict in verdicts(found).items() if verdict == "flagged"} >= {
        "copies", "nearest_neighbour", "membership_distance", "membership_distance_tail",
    }  # fmt: skip
    assert found["images"] == {"generated": 400, "train": 399, "held_out": 150}
    assert found["duplicates_taken_out"] == {"inside_train": 0, "inside_held_out": 0, "in_both": 1}
    assert (folder / "pairs.png").read_bytes().startswith(b"\x89PNG")


def test_an_equal_image_is_found_beyond_those_that_are_audited(folder: Path) -> None:
    found = run(folder, "copies", images=1)  # copies[1] equals a train image
    assert found["images"]["generated"] == 1 and found["equal_to_a_train_image"] == 1
    assert verdicts(run(folder, "fresh", images=100))["identical"] == "pass"


def test_the_train_split_itself_is_named_by_every_measure_of_the_set(folder: Path) -> None:
    found = run(folder, "train")
    assert all(verdicts(found)[name] == "flagged" for name in OF_THE_SET)
    assert verdicts(found)["membership_loss"] != "flagged"  # these weights never saw it


def test_fresh_images_pass_every_measure(folder: Path) -> None:
    found = run(folder, "fresh")
    assert set(verdicts(found)) == set(config.MEASURES)
    assert found["verdict"] == "pass", found["measures"]
    assert "cannot show that none were" in found["cannot_show"] and "arXiv 2502.12976" in found["cannot_show"]
    assert any("every image counts as independent" in line for line in found["not_audited"])
    first = (folder / "audit.json").read_bytes(), (folder / "pairs.png").read_bytes()
    run(folder, "fresh")
    assert first == ((folder / "audit.json").read_bytes(), (folder / "pairs.png").read_bytes())


def test_noise_is_not_called_private(folder: Path) -> None:
    found = run(folder, "noise", "classifier")
    assert found["verdict"] == "cannot tell" and verdicts(found)["label_agreement"] == "cannot tell"
    assert any("not a statement about privacy" in measure["reason"] for measure in found["measures"])


def test_too_few_held_out_images_cannot_tell(folder: Path, tmp_path: Path) -> None:
    few = image_files.load(folder / "validation")
    image_files.save(tmp_path / "few", few.images[:20], few.labels[:20], METADATA)
    inputs = {name: folder / name for name in ("train", "classifier")}
    inputs |= {"distilled": folder / "fresh", "validation": tmp_path / "few"}
    outputs = {"audit": tmp_path / "audit.json", "pairs": tmp_path / "pairs.png"}
    assert command.run("audit", {"audit": {}}, inputs, outputs) == 0
    found = files.read_json(tmp_path / "audit.json")
    assert found["verdict"] == "cannot tell"
    assert {measure["held_out_needed"] for measure in found["measures"][:4]} == {30}


def test_groups_are_what_counts(folder: Path, tmp_path: Path) -> None:
    for place, name in enumerate(("train", "validation")):
        data = image_files.load(folder / name)
        groups = torch.arange(len(data.labels)) // 2 + 1000 * place
        image_files.save(tmp_path / name, data.images, data.labels, METADATA, groups=groups)
    inputs = {"distilled": folder / "fresh"} | {name: tmp_path / name for name in ("train", "validation")}
    outputs = {"audit": tmp_path / "audit.json", "pairs": tmp_path / "pairs.png"}
    assert command.run("audit", {"audit": {}}, inputs, outputs) == 0
    found = files.read_json(tmp_path / "audit.json")
    assert found["groups"] == {"train": 200, "held_out": 75}
    assert not any("independent" in line for line in found["not_audited"])


def test_splits_that_are_the_same_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inputs = {name: folder / "train" for name in ("distilled", "train", "validation")}
    assert command.run("audit", {"audit": {}}, inputs, {"audit": folder / "none.json"}) == 2
    assert "nothing is held out" in capsys.readouterr().err and not (folder / "none.json").exists()


def test_a_set_without_weights_is_audited_by_its_images(folder: Path) -> None:
    found = run(folder, "copies", "classifier")
    assert "membership_loss" not in verdicts(found) and found["verdict"] == "flagged"
    assert set(found["nearest"]) == {"pixels", "features"} and set(found["membership"]) == {"distance"}
    assert any(line.startswith("the weights of the generator") for line in found["not_audited"])


@pytest.mark.parametrize(("distilled", "code"), [("fresh", 0), ("copies", 2), ("noise", 2), ("train", 2)])
def test_the_export_takes_this_record(folder: Path, tmp_path: Path, distilled: str, code: int) -> None:
    run(folder, distilled)
    inputs = {"distilled": folder / distilled, "audit": folder / "audit.json"}
    settings = {"form": "images", "protocol": PROTOCOL.model_dump(mode="json")}
    assert command.run("export", settings, inputs, {"file": tmp_path / "images.zip"}) == code
    assert (tmp_path / "images.zip").exists() == (code == 0)
