"""Baselines take as many images as the distilled set has; nothing is trained twice."""

import json
from pathlib import Path

import pytest

from diffdistill.data import image_files, selection
from diffdistill.runtime import files
from tests import command
from tests.stages.test_study_run import METADATA, PROTOCOL, evaluated, folder, save_part

__all__ = ["folder"]


def test_a_selection_is_compared_with_what_it_was_selected_from(folder: Path) -> None:
    save_part(folder, "few", 30)
    drawn = evaluated(folder, "all-samples", "distilled")
    random = evaluated(folder, "random-samples", "distilled", distilled="few")
    assert (drawn["images"], random["images"], random["train_set"]) == (80, 30, "random-samples")
    assert random["normalised_by"] != evaluated(folder, "distilled", "few")["normalised_by"]
    as_many = evaluated(folder, "random-samples", "distilled", distilled="distilled")
    assert as_many == drawn | {"train_set": "random-samples"}  # nothing is trained twice


def random_real(folder: Path, per_class: int, seed: int) -> int:
    settings = {
        "train_set": "real-random", "protocol": PROTOCOL.model_dump(mode="json"), "seed": seed, "per_class": per_class,
    }  # fmt: skip
    inputs = {"train": folder / "real.safetensors", "test": folder / "test.safetensors"}
    return command.run("evaluate", settings, inputs, {"accuracy": folder / f"{per_class}-{seed}.json"})


def test_random_real_images_of_each_class_are_the_seeds(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    real = image_files.load(folder / "real.safetensors")
    kept = selection.per_class(real.labels, [5] * 10, selection.randomly(1))
    assert real.labels[kept].bincount().tolist() == [5] * 10
    image_files.save(folder / "kept.safetensors", real.images[kept], real.labels[kept], METADATA)
    assert random_real(folder, 5, 1) == random_real(folder, 5, 2) == 0
    one, other = (json.loads((folder / f"5-{seed}.json").read_text()) for seed in (1, 2))
    of_kept = evaluated(folder, "distilled", "kept")
    for key in ("accuracy", "images", "normalised_by", "protocol"):
        assert one[key] == of_kept[key], key
    assert one["train_set"] == "real-random" and one["normalised_by"] != other["normalised_by"]
    assert random_real(folder, 21, 1) == 2 and not (folder / "21-1.json").exists()
    assert "class 0 has 20 images, but 21 are asked for" in capsys.readouterr().err


def test_the_row_says_what_made_it(folder: Path) -> None:
    row = evaluated(folder, "real", "real")
    assert row["images"] == 200 and row["epochs"] == 2 and 0 <= row["accuracy"] <= 1 and row["seed"] == 1
    assert row["trained_on"] == files.sha256(folder / "real.safetensors")
    assert row["tested_on"] == files.sha256(folder / "test.safetensors")
    assert json.loads(row["protocol"]) == PROTOCOL.model_dump(mode="json")
    assert row["made_from"]["settings"]["train_set"] == "real" and row["made_from"]["machine"]["torch"]


def test_a_set_of_other_classes_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = image_files.load(folder / "distilled.safetensors")
    other = METADATA | {"classes": json.dumps([f"other {label}" for label in range(10)])}
    image_files.save(folder / "other.safetensors", whole.images, whole.labels, other)
    settings = {"train_set": "distilled", "protocol": PROTOCOL.model_dump(mode="json"), "seed": 1}
    inputs = {"train": folder / "other.safetensors", "test": folder / "test.safetensors"}
    assert command.run("evaluate", settings, inputs, {"accuracy": folder / "x.json"}) == 2
    assert "'other 0' against '0'" in capsys.readouterr().err and not (folder / "x.json").exists()
