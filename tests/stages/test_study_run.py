"""What a run of a study trains on, told by the images' statistics: no two sets of these digits have the same."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from diffdistill import config
from diffdistill.classify.convnet import ConvNet
from diffdistill.classify.training import Classifier
from diffdistill.config import stages
from diffdistill.data import image_files
from tests import command
from tests.classify.test_training import IMAGES, TARGETS

CLASSES = [str(label) for label in range(10)]
METADATA = {"classes": json.dumps(CLASSES)}
PROTOCOL = config.Protocol(epochs=2, batch_size=16, width=8, augment="")
LEARNING = config.Protocol(epochs=12, batch_size=16, width=16, learning_rate=0.05, augment="")
STUDY = config.Study(
    epochs=(3,), equal_steps=True, images_per_class=(2, 5), budget_fractions=(0.5,), soft_labels=True,
    no_augmentation=True, resamplings=1, mix=(0.25, 2),
)  # fmt: skip
RUNS = STUDY.runs(PROTOCOL)


def balanced(first: int, per_class: int) -> torch.Tensor:
    """Indices that take the classes in turn, from image `first` of each on."""
    members = [(label == TARGETS).nonzero().flatten()[first : first + per_class] for label in range(10)]
    return torch.stack(members, 1).flatten()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A real train split of 20 images a class, a distilled set of 8, a test split of 10."""
    for name, chosen in (("real", balanced(0, 20)), ("distilled", balanced(40, 8)), ("test", balanced(60, 10))):
        image_files.save(tmp_path / f"{name}.safetensors", IMAGES[chosen], TARGETS[chosen], METADATA)
    return tmp_path


def trained(
    folder: Path, of: str | config.Run, *beside: str, train: str | None = None, protocol: config.Protocol = PROTOCOL
) -> dict[str, Any]:
    run = RUNS[of] if isinstance(of, str) else of
    out = folder / f"{run.name}.json"
    train = train or ("distilled" if run.train_set == "distilled" else "real")
    inputs: dict[str, Path] = {"train": folder / f"{train}.safetensors", "test": folder / "test.safetensors"}
    inputs |= {name: folder / path for name, path in (pair.split("=") for pair in beside)}
    settings = stages.StudyRun(protocol=protocol, run=run, seed=1)
    assert command.run("study_run", settings, inputs, {"accuracy": out}) == 0
    row: dict[str, Any] = json.loads(out.read_text())
    return row


def evaluated(folder: Path, train_set: str, train: str, distilled: str = "distilled") -> dict[str, Any]:
    """The main evaluation or a baseline of it."""
    whole = {"real-random": "real", "random-samples": "all-samples"}.get(train_set, train_set)
    inputs = {"train": f"{train}.safetensors", "test": "test.safetensors", "distilled": f"{distilled}.safetensors"}
    paths, out = {name: folder / path for name, path in inputs.items()}, folder / f"{train_set}.json"
    settings = {"train_set": train_set, "protocol": PROTOCOL.model_dump(mode="json"), "seed": 1}
    assert command.run("evaluate", settings, paths | {"whole": folder / f"{whole}.json"}, {"accuracy": out}) == 0
    row: dict[str, Any] = json.loads(out.read_text())
    return row


def same_training(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return all(a[key] == b[key] for key in ("normalised_by", "images", "accuracy", "protocol", "seed"))


def save_part(folder: Path, name: str, images: int) -> None:
    whole = image_files.load(folder / "distilled.safetensors")
    image_files.save(folder / f"{name}.safetensors", whole.images[:images], whole.labels[:images], METADATA)


def test_a_size_trains_on_the_first_images_of_each_class_and_on_the_baselines_draw_of_real_ones(folder: Path) -> None:
    save_part(folder, "first", 50)
    assert same_training(trained(folder, "size-5-distilled"), evaluated(folder, "distilled", "first"))
    random = trained(folder, "size-5-real-random")
    assert same_training(random, evaluated(folder, "real-random", "real", distilled="first"))
    assert random["images"] == 50 and random["normalised_by"] != evaluated(folder, "real", "real")["normalised_by"]


def test_a_share_of_the_budget_is_the_first_images(folder: Path) -> None:
    save_part(folder, "half", 40)
    assert same_training(trained(folder, "budget-0.5-distilled"), evaluated(folder, "distilled", "half"))


def test_equal_steps_are_those_of_the_distilled_set(folder: Path) -> None:
    for name in ("equal-steps-real", "equal-steps-distilled", "equal-steps-real-random"):
        (folder / "none.json").write_text("{}")
        row = trained(folder, name, "distilled=distilled.safetensors", "whole=none.json")
        assert json.loads(row["protocol"])["steps"] == 2 * 5  # two epochs of 80 images in batches of 16
    longer = trained(folder, "epochs-3-real")
    assert json.loads(longer["protocol"])["epochs"] == longer["epochs"] == 3


def test_a_set_stored_in_grids_is_compared_with_as_many_real_images_as_it_stores(folder: Path) -> None:
    real = image_files.load(folder / "real.safetensors")
    image_files.save(folder / "grids.safetensors", real.images, real.labels, METADATA | {"stored_images": "50"})
    baseline = evaluated(folder, "real-random", "real", distilled="grids")
    (folder / "none.json").write_text("{}")
    beside = ("distilled=grids.safetensors", "whole=none.json")
    run = config.Run(ablation="convnet", axis="architecture", train_set="real-random")
    assert same_training(trained(folder, run, *beside), baseline)
    for name in ("epochs-3-real-random", "no-augmentation-real-random"):
        assert trained(folder, name, *beside)["images"] == 50
    whole = image_files.load(folder / "grids.safetensors")
    image_files.save(folder / "first.safetensors", whole.images[:80], whole.labels[:80], METADATA)
    part = trained(folder, "size-2-distilled", train="grids")  # two stored images of each class, of four tiles each
    assert part["images"] == 80 and same_training(part, evaluated(folder, "distilled", "first"))
    assert trained(folder, "size-2-real-random")["images"] == 20
    steps = json.loads(trained(folder, "equal-steps-real-random", *beside)["protocol"])["steps"]
    assert steps == 2 * 13  # of the images trained on: two epochs of 200 in batches of 16


def test_where_the_distilled_set_is_larger_the_training_on_all_is_not_repeated(folder: Path) -> None:
    on_all = trained(folder, "epochs-3-real")
    row = trained(folder, "epochs-3-real-random", "distilled=real.safetensors", "whole=epochs-3-real.json")
    assert row == on_all | {"train_set": "real-random", "run": "epochs-3-real-random"}


def test_soft_labels_are_the_classifiers(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shape = {"num_classes": 10, "img_size": 8, "width": 4, "depth": 3}
    judge = Classifier(ConvNet(**shape), ([0.5], [0.5]))
    judge.network.classifier.weight.data.zero_()
    judge.network.classifier.bias.data = 50.0 * torch.eye(10)[3]  # certain that all are threes
    judge.to_file(folder / "judge", CLASSES)
    row = trained(folder, "soft-distilled", "classifier=judge", protocol=LEARNING)
    assert row["labels"] == "soft" and row["accuracy"] == 0.1  # so is what it teaches
    assert trained(folder, "no-augmentation-distilled", protocol=LEARNING)["accuracy"] > 0.2
    judge.to_file(folder / "judge", CLASSES[::-1])
    with pytest.raises(AssertionError):
        trained(folder, "soft-distilled", "classifier=judge")
    assert "judge and" in (error := capsys.readouterr().err) and "differ in class names" in error


def test_more_images_than_a_class_has_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = config.Study(images_per_class=(9,)).runs(PROTOCOL)["size-9-distilled"]
    inputs = {"train": folder / "distilled.safetensors", "test": folder / "test.safetensors"}
    settings = stages.StudyRun(protocol=PROTOCOL, run=run, seed=1)
    assert command.run("study_run", settings, inputs, {"accuracy": folder / "x.json"}) == 2
    error = capsys.readouterr().err
    assert "study.images_per_class: 9 makes 90 images" in error and "has 80" in error
    assert not (folder / "x.json").exists()


def test_a_mix_is_all_real_images_and_the_first_of_the_set(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    real, distilled = (image_files.load(folder / f"{name}.safetensors") for name in ("real", "distilled"))
    images, labels = (
        torch.cat([a, b[:50]])
        for a, b in zip((real.images, real.labels), (distilled.images, distilled.labels), strict=True)
    )
    image_files.save(folder / "mixed.safetensors", images, labels, METADATA)
    found = trained(folder, "mix-0.25-distilled", "real=real.safetensors")
    assert found["images"] == 250 and same_training(found, evaluated(folder, "distilled", "mixed"))
    assert 0 <= found["worst_class_accuracy"] <= found["macro_accuracy"] == pytest.approx(found["accuracy"])
    inputs = {"train": "distilled", "test": "test", "real": "real"}
    settings = stages.StudyRun(protocol=PROTOCOL, run=RUNS["mix-2-distilled"], seed=1)
    paths = {name: folder / f"{file}.safetensors" for name, file in inputs.items()}
    assert command.run("study_run", settings, paths, {"accuracy": folder / "x.json"}) == 2
    assert "study.mix: 2 takes 400 images" in capsys.readouterr().err
