"""Tuning as a job: it goes on where it stopped, bit for bit, and its weights alone draw by leaps; guidance by files."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from diffdistill import config
from diffdistill.classify import training as classifying
from diffdistill.classify.convnet import ConvNet
from diffdistill.data import image_files
from diffdistill.diffusion import training, weights
from diffdistill.runtime import tensor_files
from diffdistill.stages import sample, subclasses, tune

SHAPE = weights.Shape(8, 1, 3, 4, 16, 2, 2, 4.0)
METADATA = {"classes": json.dumps(["a", "b", "c"]), "source_checksum": "none", "config": "{}"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images of three classes, and weights of iterations 5 and 9."""
    images = torch.randint(0, 256, (60, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    image_files.save(tmp_path / "train.safetensors", images, torch.arange(60) % 3, METADATA)
    for step in (5, 9):
        save(tmp_path / f"{step}.safetensors", SHAPE, step)
    return tmp_path


def save(path: Path, shape: weights.Shape, step: int) -> None:
    tensors = training.initialise(shape.build, step).state_dict()
    weights.save(path, tensors, shape, METADATA | {"step": str(step)})


def tuned(folder: Path, output: Path, **changed: Any) -> int:
    block = config.Tune.model_validate({"iterations": 12, "batch_size": 8, "learning_rate": 1e-3, **changed})
    inputs = [f"weights={folder / '9.safetensors'}", f"train={folder / 'train.safetensors'}"]
    described = config.as_json(tune=block, flip=True)
    return tune.main(["--config", described, "--threads", "1", "--in", *inputs, "--out", f"weights={output}"])


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
    assert "made with other settings; starting anew" in capsys.readouterr().err
    assert tuned(folder, folder / "whole.safetensors") == 0
    whole, parts = tensors(folder / "whole.safetensors"), tensors(folder / "parts.safetensors")
    assert all(torch.equal(whole[name], value) for name, value in parts.items())


def drawn(folder: Path, name: str, guide: str | None = None, **settings: Any) -> tuple[int, Path]:
    inputs = [f"weights={folder / name}"] + ([f"guide={folder / guide}"] if guide else [])
    outputs = [f"samples={folder / 'samples.safetensors'}", f"account={folder / 'samples.json'}"]
    described = json.dumps({"images": 50, "batch_size": 16, **settings})
    code = sample.main(["--config", described, "--threads", "1", "--in", *inputs, "--out", *outputs])
    return code, folder / "samples.safetensors"


def account(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "samples.json").read_text()))


LEAPS = {"algorithm": "consistency", "steps": 2}


def test_tuned_weights_draw_by_leaps_and_others_do_not(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert drawn(folder, "9.safetensors", solver=LEAPS)[0] == 2
    assert "weights that are not tuned, as 'consistency' needs them; give those of tune" in capsys.readouterr().err
    assert tuned(folder, folder / "tuned.safetensors") == 0
    large = image_files.load(drawn(folder, "tuned.safetensors", solver=LEAPS)[1]).images
    assert account(folder)["evaluations_per_image"] == 2 and account(folder)["step"] == 9
    small = image_files.load(drawn(folder, "tuned.safetensors", solver=LEAPS, batch_size=7)[1]).images
    assert (large.int() - small.int()).abs().max() <= 1  # the second leap's noise is an image's own, too
    assert len({image.numpy().tobytes() for image in large}) == 50


def test_autoguidance_pushes_away_from_earlier_weights(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    solver = {"steps": 4}
    plain = image_files.load(drawn(folder, "9.safetensors", solver=solver)[1]).images
    settings: dict[str, Any] = {"solver": solver, "guidance": {"weight": 1.0, "from_step": 5}}
    code, path = drawn(folder, "9.safetensors", "5.safetensors", **settings)
    assert code == 0 and account(folder)["evaluations_per_image"] == 8
    assert (image_files.load(path).images.int() - plain.int()).abs().max() <= 1
    settings["guidance"] |= {"weight": 3.0, "interval": [0.0, 0.5]}
    made = image_files.load(drawn(folder, "9.safetensors", "5.safetensors", **settings)[1])
    assert (made.images.int() - plain.int()).abs().max() > 1
    assert 4 < account(folder)["evaluations_per_image"] < 8
    assert '"weight": 3.0' in made.metadata["made_by"]
    assert drawn(folder, "5.safetensors", "9.safetensors", **settings)[0] == 2
    assert "no weights of iteration 5 are given" in capsys.readouterr().err
    settings["guidance"]["from_step"] = 9
    assert drawn(folder, "5.safetensors", "9.safetensors", **settings)[0] == 2
    assert "from_step: 9 is not before the iteration 5" in capsys.readouterr().err
    settings["guidance"]["from_step"] = 4
    save(folder / "4.safetensors", replace(SHAPE, depth=4), 4)
    assert drawn(folder, "9.safetensors", "4.safetensors", **settings)[0] == 2
    assert "4.safetensors: not of the run of" in capsys.readouterr().err


def test_classifier_free_guidance_takes_the_null_label(folder: Path) -> None:
    save(folder / "7.safetensors", replace(SHAPE, null_label=True), 7)
    guidance = {"weight": 2.0, "interval": [0.0, 1.0]}
    code, _ = drawn(folder, "7.safetensors", solver={"steps": 3}, guidance=guidance)
    assert code == 0 and account(folder)["evaluations_per_image"] == 6


def test_parts_by_a_classifier_of_the_train_split(folder: Path) -> None:
    shape = {"num_classes": 3, "img_size": 8, "width": 8, "depth": 2}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        classifier = classifying.Classifier(ConvNet(**shape), ([0.5], [0.5]))
    classifier.to_file(folder / "features.safetensors", ["a", "b", "c"])
    inputs = [f"{name}={folder / name}.safetensors" for name in ("train", "features")]
    output = folder / "subclasses.safetensors"
    for _ in range(2):
        described = json.dumps({"subclasses": 3, "seed": 0})
        arguments = ["--config", described, "--threads", "1", "--in", *inputs, "--out", f"subclasses={output}"]
        assert subclasses.main(arguments) == 0
        parts = tensors(output)["parts"]
        counts = torch.bincount(3 * (torch.arange(60) % 3) + parts, minlength=9).reshape(3, 3)
        assert bool((counts > 0).all()) and bool((counts.diff(dim=1) <= 0).all()) and int(counts.sum()) == 60
