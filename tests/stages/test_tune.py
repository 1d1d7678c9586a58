"""Tuning as a job: it resumes where it stopped, bit for bit, and its weights alone are sampled in few evaluations."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from diffdistill import config
from diffdistill.config import stages
from diffdistill.data import image_files
from diffdistill.diffusion import checkpoints, subclasses, training
from diffdistill.diffusion.labels import LabelSpace
from diffdistill.runtime import tensor_files
from diffdistill.runtime.resuming import Progress
from tests import command
from tests.diffusion.models import COUNTS, MODELS, UVIT, busy

METADATA = {"classes": json.dumps(["a", "b", "c"]), "source_checksum": "none", "config": "{}"}
SUBCLASSES = torch.arange(60) // 3 % 2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images of three classes, and weights of iterations 5 and 9."""
    images = torch.randint(0, 256, (60, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    image_files.save(tmp_path / "train.safetensors", images, torch.arange(60) % 3, METADATA)
    subclasses.save(tmp_path / "subclasses.safetensors", SUBCLASSES, METADATA["classes"])
    for step in (5, 9):
        save(tmp_path / f"{step}.safetensors", step)
    return tmp_path


def save(
    path: Path, step: int, model: config.UViTModel | config.UNetModel = UVIT, space: LabelSpace | None = None
) -> None:
    denoiser = busy(model, space or LabelSpace(num_classes=3), seed=step)
    checkpoints.save_denoiser(path, denoiser, METADATA | {"step": str(step)})


def tuned(folder: Path, output: Path, *more: str, **changed: Any) -> int:
    block = config.Tune.model_validate({"iterations": 12, "batch_size": 8, "learning_rate": 1e-3, **changed})
    inputs = {"weights": folder / "9.safetensors"} | {name: folder / f"{name}.safetensors" for name in ("train", *more)}
    return command.run("tune", stages.Tune(tune=block, flip=True), inputs, {"weights": output})


def tensors(path: Path) -> dict[str, Tensor]:
    return tensor_files.load(path)[0]


def stop_after(iteration: int, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = training.train

    def stopped(state: training.State, *arguments: Any, **named: Any) -> int:
        return plain(state, *arguments, **named | {"stop_signal": lambda: 15 * (state.iteration == iteration - 1)})

    monkeypatch.setattr(training, "train", stopped)


def test_tuning_that_was_stopped_goes_on_bit_for_bit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tuned(folder, folder / "whole.safetensors") == 0
    for iteration in (4, 9):
        with monkeypatch.context() as patch:
            stop_after(iteration, patch)
            with pytest.raises(SystemExit):
                tuned(folder, folder / "parts.safetensors")
        assert not (folder / "parts.safetensors").exists()
        assert tensor_files.load(folder / "parts.progress.safetensors")[1]["iteration"] == str(iteration)
    assert tuned(folder, folder / "parts.safetensors") == 0
    whole, parts = tensors(folder / "whole.safetensors"), tensors(folder / "parts.safetensors")
    assert all(torch.equal(whole[name], value) for name, value in parts.items())
    assert not (folder / "parts.progress.safetensors").exists()
    start = tensors(folder / "9.safetensors")
    assert start.keys() == whole.keys()
    assert not torch.equal(start["norm.weight"], whole["norm.weight"])


def test_progress_of_other_settings_is_not_gone_on_from(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        stop_after(4, patch)
        tuned(folder, folder / "parts.safetensors", stages=2)
    assert tuned(folder, folder / "parts.safetensors") == 0
    assert "made with other settings (tune.stages 2 against 8); starting over" in capsys.readouterr().err
    assert tuned(folder, folder / "whole.safetensors") == 0
    whole, parts = tensors(folder / "whole.safetensors"), tensors(folder / "parts.safetensors")
    assert all(torch.equal(whole[name], value) for name, value in parts.items())


@pytest.mark.parametrize("kind", MODELS)
def test_every_network_is_tuned(folder: Path, kind: str) -> None:
    space = LabelSpace(num_classes=3, subclasses=((10, 10),) * 3, null_label=True)
    save(folder / "9.safetensors", 9, MODELS[kind], space)
    assert tuned(folder, folder / "tuned.safetensors", "subclasses") == 0
    before, after = checkpoints.load(folder / "9.safetensors"), checkpoints.load(folder / "tuned.safetensors")
    assert after.tuned and not before.tuned and (after.step, after.classes) == (9, ["a", "b", "c"])
    assert after.denoiser.describe() == before.denoiser.describe()


def test_other_subclasses_than_the_weights_have(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(folder / "9.safetensors", 9, UVIT, LabelSpace(num_classes=3, subclasses=COUNTS))
    assert tuned(folder, folder / "tuned.safetensors") == 2
    assert "trained with other sub-classes than are given" in capsys.readouterr().err


def test_a_loss_that_is_not_finite_names_what_to_change(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tuned(folder, folder / "tuned.safetensors", iterations=200, learning_rate=1e8) == 2
    error = capsys.readouterr().err.split("error: ")[1]
    assert "lower tune.learning_rate (100000000.0) or raise tune.warmup_iterations" in error and "train." not in error


def test_a_second_job_on_the_same_output_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(folder / "tuned.safetensors", 60).lock():
        assert tuned(folder, folder / "tuned.safetensors") == 2
    assert "another process is making this file" in capsys.readouterr().err


def test_what_another_job_has_tuned_is_taken(folder: Path) -> None:
    assert tuned(folder, folder / "tuned.safetensors") == 0
    before = (folder / "tuned.safetensors").stat().st_mtime_ns
    assert tuned(folder, folder / "tuned.safetensors", save_seconds=5) == 0  # decides nothing
    assert (folder / "tuned.safetensors").stat().st_mtime_ns == before
    assert tuned(folder, folder / "tuned.safetensors", stages=2) == 0
    assert (folder / "tuned.safetensors").stat().st_mtime_ns != before
