"""Refining as a job: what it writes, where it goes on from, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from diffdistill.__main__ import main
from diffdistill.config import UViTModel
from diffdistill.data import image_files
from diffdistill.diffusion import checkpoints
from diffdistill.diffusion.denoiser import NetworkDenoiser
from diffdistill.diffusion.labels import LabelSpace
from diffdistill.refining import matching
from diffdistill.runtime import tensor_files
from tests.refining.conftest import halves

METADATA = {"classes": json.dumps(["left", "right"]), "source_checksum": "none", "cut": "{}"}
PROTOCOL = {"steps": 8, "batch_size": 8, "width": 8, "depth": 2, "augment": "scale_rotate", "mean": [0.0], "std": [0.4]}
BLOCK = {"images_per_class": 2, "iterations": 6, "batch_real": 8, "validate_every": 3, "seed": 1}

SPLITS = ("train", "validation")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed, name in enumerate(("train", "validation", "samples")):
        image_files.save(tmp_path / f"{name}.safetensors", *halves(40, seed), METADATA)
    return tmp_path


def refine(
    folder: Path,
    name: str = "refined",
    inputs: tuple[str, ...] = ("train", "validation"),
    protocol: dict[str, Any] = PROTOCOL,
    **changes: Any,
) -> int:
    named = [f"{'start' if one == 'samples' else one}={folder / one}.safetensors" for one in inputs]
    outputs = [f"refined={folder / name}.safetensors", f"account={folder / name}.json", f"pictures={folder / name}.png"]
    settings = json.dumps({"refine": {**BLOCK, **changes}, "protocol": protocol})
    return main(["refine", "--settings", settings, "--threads", "1", "--in", *named, "--out", *outputs])


def test_a_refined_set_says_what_it_is_made_of_and_is_the_best_one(folder: Path) -> None:
    assert refine(folder, start="real") == 0
    made = image_files.load(folder / "refined.safetensors")
    assert made.images.shape == (4, 1, 8, 8) and made.labels.tolist() == [0, 1, 0, 1]
    assert made.metadata["derived_from"] == "real images of the train split, changed"
    assert made.metadata["source_checksum"] == "none" and made.metadata["stored_images"] == "4"
    account = json.loads((folder / "refined.json").read_text())
    assert account["ended_by"] == "iterations" and account["iterations"] == 6 and account["seconds"] > 0
    rows = [(row["iteration"], row["accuracy"]) for row in account["validation"]]
    assert [row[0] for row in rows] == [0, 3, 6]
    assert account["best_iteration"] == max(rows, key=lambda row: (row[1], row[0]))[0]
    assert sorted(path.name for path in folder.iterdir() if "refined" in path.name) == [
        "refined.json", "refined.png", "refined.safetensors",
    ]  # fmt: skip


def test_generated_images_and_noise_are_starts_without_a_real_pixel(folder: Path) -> None:
    assert refine(folder, "a", ("train", "validation", "samples")) == 0
    assert refine(folder, "b", start="noise") == 0
    derived = [image_files.load(folder / f"{name}.safetensors").metadata["derived_from"] for name in "ab"]
    assert derived == [f"{what}, changed to match the real train split" for what in ("generated images", "noise")]


def test_a_factor_gives_that_many_more_images_to_train_on(folder: Path) -> None:
    assert refine(folder, start="real", factor=2) == 0
    assert len(image_files.load(folder / "refined.safetensors").images) == 16
    account = json.loads((folder / "refined.json").read_text())
    assert account["stored_images_per_class"] == 2 and account["images_per_class"] == 8


def test_grey_images_take_the_three_means_of_a_protocol(folder: Path) -> None:
    means = {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4]}
    train = {"network_iterations": 3, "network_steps": 1, "network_batch": 8}
    assert refine(folder, start="real", protocol=PROTOCOL | means, **train) == 0
    assert image_files.load(folder / "refined.safetensors").images.shape == (4, 1, 8, 8)


def test_a_latent_set_is_made_by_the_generator(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = UViTModel(patch_size=4, embed_dim=16, depth=2, num_heads=2)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        denoiser = NetworkDenoiser(model, labels=LabelSpace(num_classes=2), image_shape=(1, 8, 8))
    checkpoints.save_denoiser(folder / "weights.safetensors", denoiser, {**METADATA, "step": "5"})
    few, inputs = {"algorithm": "dpmsolver++", "nfe": 2}, (*SPLITS, "weights")
    assert refine(folder, inputs=inputs, parametrisation="latent", solver=few) == 0
    made = image_files.load(folder / "refined.safetensors")
    assert made.images.shape == (4, 1, 8, 8)
    assert made.metadata["derived_from"] == "generated images, changed to match the real train split"
    assert refine(folder, inputs=inputs, parametrisation="latent") == 2
    assert "not tuned, but the solver 'consistency' needs tuned weights" in capsys.readouterr().err


def stopped_at(iteration: int, monkeypatch: pytest.MonkeyPatch, folder: Path, name: str, **changes: Any) -> int:
    plain = matching.run

    def run(state: Any, *arguments: Any, **named: Any) -> int:
        return plain(state, *arguments, **named | {"stop_signal": lambda: 15 * (state.iteration == iteration)})

    with monkeypatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr(matching, "run", run)
        refine(folder, name, **changes)
    return int(ended.value.code)


def test_a_stopped_job_goes_on_to_the_same_bytes_and_its_best_set_is_on_disk(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {"start": "real", "network_iterations": 3, "network_steps": 1, "network_batch": 8}
    assert refine(folder, "whole", **changes) == 0
    stopped_at(4, monkeypatch, folder, "parts", **changes)
    assert not (folder / "parts.safetensors").exists()
    assert tensor_files.load(folder / "parts.progress.safetensors")[1]["iteration"] == "4"
    assert len(image_files.load(folder / "parts.best.safetensors").images) == 4
    assert refine(folder, "parts", **changes) == 0
    assert (folder / "whole.safetensors").read_bytes() == (folder / "parts.safetensors").read_bytes()
    assert not list(folder.glob("parts.*.safetensors"))


def test_progress_of_other_settings_is_left_and_of_fewer_iterations_is_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped_at(4, monkeypatch, folder, "refined", start="real")
    assert refine(folder, start="real", iterations=9) == 0
    assert "resuming from" in capsys.readouterr().err
    for other in ({"seed": 2}, {"decay": "linear"}):
        stopped_at(4, monkeypatch, folder, "refined", start="real")
        assert refine(folder, start="real", **other) == 0
        assert "made with other settings; starting over" in capsys.readouterr().err


def test_a_decay_reaches_zero_where_it_was_meant_to(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped_at(4, monkeypatch, folder, "refined", start="real", decay="linear")
    assert refine(folder, start="real", decay="linear", iterations=9) == 0
    assert "made with other settings; starting over" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "inputs", "said"),
    [
        ({"start": "generated"}, ("train", "validation"), "--in start=PATH must be given exactly once"),
        ({"start": "real", "factor": 3}, ("train", "validation"), "refine.factor: images of 8x8 pixels"),
        ({"start": "real", "images_per_class": 21}, ("train", "validation"), "has 20 images, but 21 are asked for"),
        ({"start": "real", "network_steps": 2}, ("train", "validation"), "network_iterations must be above 1"),
        ({"start": "real", "budget_second": 2}, ("train", "validation"), "budget_seconds"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    changes: dict[str, Any], inputs: tuple[str, ...], said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refine(folder, inputs=inputs, **changes) == 2
    assert said in capsys.readouterr().err.splitlines()[-1]


def test_a_budget_that_suffices_changes_no_byte(folder: Path) -> None:
    assert refine(folder, "a", start="real") == 0
    assert refine(folder, "b", start="real", budget_seconds=1000) == 0
    a, b = (image_files.load(folder / f"{name}.safetensors") for name in "ab")
    assert torch.equal(a.images, b.images)
