"""A finished set of any form becomes samples that the later stages accept, and its account."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from diffdistill.classify import evaluation
from diffdistill.data import image_files
from diffdistill.runtime import files
from tests import command
from tests.data.sets.making import (
    CLASSES,
    FILE_ORDER,
    NAMED,
    Given,
    Maker,
    condensed,
    npz,
    pixels,
)  # fmt: skip

ORIGIN = {"source_checksum": "abc", "cut": '{"seed": 0}'}


def make_real(folder: Path) -> Path:
    for name in ("train", "test"):
        metadata = {"classes": json.dumps(CLASSES), "split": name, **ORIGIN}
        image_files.save(folder / f"{name}.safetensors", pixels(6), np.arange(6) % 3, metadata)
    return folder / "train.safetensors"


def run(folder: Path, path: Path, labels: Path | None = None, **keys: Any) -> int:
    generator = {"kind": "samples", "path": str(path), "labels": str(labels) if labels else None, **keys}
    inputs = {"set": path, "train": make_real(folder), **({"labels": labels} if labels else {})}
    outputs = {"samples": folder / "samples.safetensors", "account": folder / "samples.json"}
    return command.run("import_set", {"generator": generator}, inputs, outputs)


@pytest.mark.parametrize("make", NAMED)
def test_each_form_becomes_samples(make: Maker, tmp_path: Path) -> None:
    path = make(tmp_path, Given())
    assert run(tmp_path, path) == 0
    samples, test = evaluation.load(tmp_path / "samples.safetensors", tmp_path / "test.safetensors")
    assert samples.classes == test.classes == CLASSES and len(samples.images) == 12
    assert samples.metadata.items() >= ORIGIN.items() and samples.metadata["made_by"] == f"a finished set, {path.name}"
    made_from = json.loads(samples.metadata["made_from"])["inputs"]
    assert made_from["set"] == ([files.sha256(path)] if path.is_file() else [])
    account = files.read_record(tmp_path / "samples.json", "images", "generator", "seconds", "found")
    assert account["images"] == 12 and "4 per class in 3 classes, classes by name" in account["found"]
    assert account["generator"]["kind"] == "samples" and account["generator"]["bytes"] > 0


@pytest.mark.parametrize("make", [npz, condensed])
def test_an_order_that_has_to_be_given(
    make: Callable[[Path, Given], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = make(tmp_path, Given(names=None))
    assert run(tmp_path, path) == 2
    assert "their order is not known" in (said := capsys.readouterr().err) and "keys of generator" in said
    assert not (tmp_path / "samples.safetensors").exists() and not (tmp_path / "samples.json").exists()
    assert run(tmp_path, path, classes=FILE_ORDER) == 0


def test_labels_of_their_own_are_an_input(tmp_path: Path) -> None:
    torch.save(torch.from_numpy(pixels(6)), tmp_path / "images_best.pt")
    torch.save(torch.arange(6) % 3, tmp_path / "labels_best.pt")
    assert run(tmp_path, tmp_path / "images_best.pt", tmp_path / "labels_best.pt", classes=FILE_ORDER) == 0
    assert image_files.load(tmp_path / "samples.safetensors").labels.tolist() == [2, 0, 1, 2, 0, 1]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"mean": [0.5]}, "give both mean and std, or neither"),
        ({"mean": [0.5], "std": [0.0]}, "generator.std"),
        ({"mean": [0.5] * 2, "std": [0.1] * 2}, "mean and std need one number, or one per channel"),
        ({"values": "normalised"}, "values: normalised needs mean and std"),
        ({"values": "unit", "mean": [0.5], "std": [0.1]}, "mean and std are for normalised images"),
        ({"classes": ["a", "a"]}, "'a' stands twice in classes"),
        ({"classes": ["a"]}, "classes needs two names at least"),
        ({"fromat": "npz"}, "did you mean 'format'?"),
        ({"format": "mat"}, "generator.format"),
    ],
)
def test_settings_that_do_not_fit(
    keys: dict[str, Any], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, npz(tmp_path, Given()), **keys) == 2
    assert said in capsys.readouterr().err
