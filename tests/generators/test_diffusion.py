"""The diffusion generator samples what its denoiser does, counts evaluations, and says what it lacks."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from diffdistill.config import Guidance, Solver
from diffdistill.diffusion import checkpoints, running, sampling
from diffdistill.diffusion.labels import LabelSpace, balanced
from diffdistill.errors import UserError
from diffdistill.generators import Generator
from diffdistill.generators.diffusion import DiffusionGenerator
from tests.diffusion.models import MODELS, UVIT, busy

NULL = LabelSpace(num_classes=3, null_label=True)
CPU = torch.device("cpu")


def saved(path: Path, step: int, space: LabelSpace = NULL) -> checkpoints.Checkpoint:
    metadata = {"classes": json.dumps(["a", "b", "c"]), "config": "{}", "step": str(step)}
    checkpoints.save_denoiser(path, busy(UVIT, space, seed=step), metadata)
    return checkpoints.load(path)


@pytest.mark.parametrize("kind", MODELS)
def test_it_samples_its_denoiser(kind: str) -> None:
    denoiser, solver = busy(MODELS[kind]), Solver(nfe=3)
    generator: Generator = DiffusionGenerator(denoiser, solver, seed=4)
    assert (generator.num_classes, generator.image_shape) == (3, (1, 8, 8))
    labels = balanced(7, 5, 3)
    images = generator.generate(7, labels)
    assert torch.equal(images, sampling.sample(denoiser, solver, labels, seed=4, first=7, device=CPU))
    assert generator.describe(1)["nfe"] == 3


def test_one_batch_size_changes_no_image() -> None:
    denoiser, solver, labels = busy(), Solver(nfe=3), balanced(0, 5, 3)
    plain = DiffusionGenerator(denoiser, solver, seed=4).generate(0, labels)
    fixed = DiffusionGenerator(denoiser, solver, seed=4, fixed_batch_size=8).generate(0, labels)
    assert fixed.shape == plain.shape and (fixed.int() - plain.int()).abs().max() <= 1


@pytest.mark.parametrize(("interval", "nfe"), [((0.0, 1.0), 8), ((0.0, 0.6), 6), ((0.0, 0.0001), 4)])
def test_both_networks_are_counted(tmp_path: Path, interval: tuple[float, float], nfe: int) -> None:
    checkpoint, guide = saved(tmp_path / "9.safetensors", 9), saved(tmp_path / "5.safetensors", 5)
    for from_step in (None, 5):
        guidance = Guidance(weight=2.0, interval=interval, from_step=from_step)
        generator = DiffusionGenerator.of_checkpoint(
            checkpoint, Solver(nfe=4, spacing="time"), seed=0, guidance=guidance, guides=[guide.path]
        )
        generator.generate(0, balanced(0, 2, 3))
        generator.generate(2, balanced(2, 2, 3))
        assert generator.nfe == nfe


def test_the_account_says_what_made_the_images(tmp_path: Path) -> None:
    checkpoint = saved(tmp_path / "9.safetensors", 9)
    plan = running.plan(
        checkpoint.denoiser, precision="float32", compile=False, batch_size=8, budget_seconds=None, device=CPU
    )
    about: dict[str, Any] = DiffusionGenerator.of_checkpoint(checkpoint, Solver(), seed=1, plan=plan).describe(1)
    assert about["kind"] == "diffusion" and about["model"]["kind"] == "uvit" and about["step"] == 9
    assert about["parameters"] == checkpoint.denoiser.parameter_count
    assert about["bytes"] == checkpoint.path.stat().st_size and about["solver"]["nfe"] == 10
    json.dumps(about)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    checkpoint = saved(tmp_path / "9.safetensors", 9, LabelSpace(num_classes=3))
    with pytest.raises(UserError, match="trained without label dropout"):
        DiffusionGenerator.of_checkpoint(checkpoint, Solver(), seed=0, guidance=Guidance(weight=2))
    with pytest.raises(UserError, match="needs tuned weights"):
        DiffusionGenerator.of_checkpoint(checkpoint, Solver(algorithm="consistency"), seed=0)
    with pytest.raises(UserError, match="no weights of iteration 5"):
        DiffusionGenerator.of_checkpoint(checkpoint, Solver(), seed=0, guidance=Guidance(weight=2, from_step=5))
