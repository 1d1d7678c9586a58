"""A pilot as a job: what it records, what it refuses, and that the same job gives the same answer."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from diffdistill import config
from diffdistill.classify import training
from diffdistill.config import stages
from diffdistill.data import image_files
from diffdistill.diffusion import checkpoints
from diffdistill.runtime import files
from tests import command
from tests.diffusion.models import busy

METADATA = {"classes": json.dumps(["a", "b", "c"]), "source_checksum": "none"}
PROTOCOL = config.Protocol(steps=2, width=8, batch_size=8)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Weights of an untrained network and a validation split."""
    checkpoints.save_denoiser(tmp_path / "weights.safetensors", busy(), METADATA | {"step": "7"})
    images = torch.randint(256, (30, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    image_files.save(tmp_path / "validation.safetensors", images, torch.arange(30) % 3, METADATA)
    return tmp_path


def run(folder: Path, setup: dict[str, Any] | None = None, batch_size: int = 8, **inputs: Path) -> int:
    settings = stages.Pilot(
        setup=config.SamplingSetup.model_validate(setup or {"solver": {"nfe": 2}}), evaluations=40,
        batch_size=batch_size, seed=0, seeds=(0, 1), protocol=PROTOCOL,
    )  # fmt: skip
    given = {name: folder / f"{name}.safetensors" for name in ("weights", "validation")}
    return command.run("pilot", settings, given | inputs, {"pilot": folder / "pilot.json"})


def piloted(folder: Path, setup: dict[str, Any] | None = None, batch_size: int = 8, **inputs: Path) -> dict[str, Any]:
    assert run(folder, setup, batch_size, **inputs) == 0
    return files.read_record(folder / "pilot.json", "accuracy")


def test_a_pilot_says_what_it_was_made_of(project: Path) -> None:
    row = piloted(project)
    assert (row["step"], row["images"], row["nfe"], row["seeds"]) == (7, 20, 2, [0, 1])
    assert row["accuracy"] == pytest.approx(np.mean(row["accuracies"])) and row["standard_error"] > 0
    assert row["weights_sha256"] == files.sha256(project / "weights.safetensors")
    again = piloted(project, batch_size=20)
    timed = ("seconds", "weights_sha256")
    assert {key: row[key] for key in row if key not in timed} == {key: again[key] for key in again if key not in timed}


def test_another_validation_split_is_refused(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = project / "validation.safetensors"
    data = image_files.load(path)
    for change, said in (
        ({"classes": json.dumps(["a", "c", "b"])}, "other classes or image sizes"),
        ({"source_checksum": "another"}, "do not belong together"),
    ):
        image_files.save(path, data.images, data.labels, data.metadata | change)
        assert run(project) == 2
        assert said in capsys.readouterr().err and not (project / "pilot.json").exists()


def test_a_guided_pilot_takes_as_many_samples_as_the_same_evaluations_allow(project: Path) -> None:
    checkpoints.save_denoiser(project / "3.safetensors", busy(seed=1), METADATA | {"step": "3"})
    setup = {"solver": {"nfe": 2}, "guidance": {"weight": 2.0, "from_step": 3}}
    row = piloted(project, setup, guide=project / "3.safetensors")
    assert (row["nfe"], row["images"], row["setup"]["guidance"]["from_step"]) == (4, 10, 3)


def test_an_iteration_that_is_not_earlier_does_not_guide(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "7.safetensors").write_bytes((project / "weights.safetensors").read_bytes())
    setup = {"solver": {"nfe": 2}, "guidance": {"weight": 2.0, "from_step": 7}}
    assert run(project, setup, guide=project / "7.safetensors") == 2
    assert "not before the iteration 7" in capsys.readouterr().err


def test_a_pilot_trains_on_what_its_selection_leaves(project: Path) -> None:
    data = image_files.load(project / "validation.safetensors")
    classifier = training.fit(
        data.images, data.labels, num_classes=3, protocol=PROTOCOL, seed=0, device=torch.device("cpu"),
        statistics=training.statistics(PROTOCOL, data.images), progress="classifier",
    )  # fmt: skip
    path = project / "classifier.safetensors"
    classifier.to_file(path, data.classes, data.metadata)
    select = {"method": "classifier", "label_noise": "drop", "confidence": 0.0}
    row = piloted(project, {"solver": {"nfe": 2}, "select": select}, classifier=path)
    assert row["images"] == 20 and 0 < row["kept"] < 20  # samples of an untrained network are not of their class
