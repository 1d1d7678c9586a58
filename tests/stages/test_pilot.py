"""The pilot's error is the spread of its accuracy; and the same job gives the same answer."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from diffdistill import config
from diffdistill.classify import training
from diffdistill.data import image_files
from diffdistill.diffusion import weights
from diffdistill.diffusion.training import initialise
from diffdistill.runtime import files
from diffdistill.stages import pilot
from diffdistill.stages.pilot import accuracy_and_error

SHAPE = weights.Shape(
    img_size=8, in_chans=1, num_classes=3, patch_size=4, embed_dim=16, depth=2, num_heads=2, mlp_ratio=2.0
)


def test_closed_forms() -> None:
    right = torch.tensor([[True, True, False, False]])
    # one training: the variance of 1, 1, 0, 0 is 1/3
    assert accuracy_and_error(right) == (0.5, pytest.approx((1 / 3 / 4) ** 0.5))
    # two that agree add nothing; two that differ in all images have a variance of 1/2 between them
    assert accuracy_and_error(right.repeat(2, 1)) == accuracy_and_error(right)
    all_or_none = torch.tensor([[True] * 4, [False] * 4])
    assert accuracy_and_error(all_or_none) == (0.5, pytest.approx((1 / 2 / 2) ** 0.5))


def test_the_error_is_the_spread_of_the_accuracy_over_other_images_and_trainings() -> None:
    random, found = np.random.default_rng(0), []
    for _ in range(400):
        easy, skill = random.normal(size=(1, 200)), random.normal(size=(10, 1))
        right = 1 + 2 * easy + 0.3 * skill + random.normal(size=(10, 200)) > 0
        found.append(accuracy_and_error(torch.from_numpy(right)))
    accuracies, errors = np.array(found).T
    assert np.sqrt((errors**2).mean()) == pytest.approx(accuracies.std(), rel=0.15)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Weights of an untrained network and a validation split."""
    metadata = {"classes": json.dumps(["a", "b", "c"]), "source_checksum": "none"}
    network = initialise(SHAPE.build, 0)
    weights.save(tmp_path / "weights.safetensors", network.state_dict(), SHAPE, metadata | {"step": "7"})
    images = torch.randint(256, (30, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    image_files.save(tmp_path / "validation.safetensors", images, torch.arange(30) % 3, metadata)
    return tmp_path


def arguments(folder: Path, **changes: Any) -> list[str]:
    settings = {
        "draw": {"solver": {"steps": 2}}, "evaluations": 40, "batch_size": 8, "seed": 0, "seeds": [0, 1],
        "protocol": {"steps": 2, "width": 8, "batch_size": 8},
    }  # fmt: skip
    inputs = [f"{name}={folder / name}.safetensors" for name in ("weights", "validation")]
    described = json.dumps(settings | changes)
    return ["--threads", "1", "--config", described, "--in", *inputs, "--out", f"pilot={folder / 'pilot.json'}"]


def piloted(folder: Path, **changes: Any) -> dict[str, Any]:
    assert pilot.main(arguments(folder, **changes)) == 0
    return files.read_record(folder / "pilot.json", "accuracy")


def test_a_pilot_says_what_it_was_made_of(project: Path) -> None:
    row = piloted(project)
    assert (row["step"], row["images"], row["evaluations"], row["seeds"]) == (7, 20, 2, [0, 1])
    assert row["accuracy"] == pytest.approx(np.mean(row["accuracies"])) and row["standard_error"] > 0
    assert row["weights_sha256"] == files.sha256(project / "weights.safetensors")
    again = piloted(project, batch_size=20)
    timed = ("seconds", "weights_sha256")
    assert {key: row[key] for key in row if key not in timed} == {key: again[key] for key in again if key not in timed}


def test_another_validation_split_is_refused(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = project / "validation.safetensors"
    data = image_files.load(path)
    for change, said in (
        ({"classes": json.dumps(["a", "c", "b"])}, "other classes or sizes"),
        ({"source_checksum": "another"}, "do not belong together"),
    ):
        image_files.save(path, data.images, data.labels, data.metadata | change)
        assert pilot.main(arguments(project)) == 2
        assert said in capsys.readouterr().err and not (project / "pilot.json").exists()


def test_a_guided_pilot_draws_as_many_as_the_same_evaluations_suffice_for(project: Path) -> None:
    made = json.dumps(["a", "b", "c"])
    earlier = initialise(SHAPE.build, 1).state_dict()
    weights.save(project / "3.safetensors", earlier, SHAPE, {"classes": made, "source_checksum": "none", "step": "3"})
    draw = {"solver": {"steps": 2}, "guidance": {"weight": 2.0, "from_step": 3}}
    run = [*arguments(project, draw=draw), "--in", f"guide={project / '3.safetensors'}"]
    assert pilot.main(merged(run)) == 0
    row = files.read_record(project / "pilot.json", "accuracy")
    assert (row["evaluations"], row["images"], row["draw"]["guidance"]["from_step"]) == (4, 10, 3)


def merged(command: list[str]) -> list[str]:
    """Both lists of inputs as one."""
    last = len(command) - 2
    place = command.index("--in") + 1
    return [*command[:place], command[last + 1], *command[place:last]]


def test_an_iteration_that_is_not_earlier_does_not_guide(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "7.safetensors").write_bytes((project / "weights.safetensors").read_bytes())
    draw = {"solver": {"steps": 2}, "guidance": {"weight": 2.0, "from_step": 7}}
    run = [*arguments(project, draw=draw), "--in", f"guide={project / '7.safetensors'}"]
    assert pilot.main(merged(run)) == 2 and "7 is not before the iteration 7" in capsys.readouterr().err


def test_a_pilot_trains_on_what_its_selection_leaves(project: Path) -> None:
    protocol = training.Protocol(**config.read(config.Protocol, {"steps": 2, "width": 8}).model_dump())
    data = image_files.load(project / "validation.safetensors")
    classifier = training.fit(
        data.images, data.labels, num_classes=3, protocol=protocol, seed=0, device=torch.device("cpu"),
        statistics=training.statistics(protocol, data.images), progress="classifier",
    )  # fmt: skip
    classifier.to_file(project / "features.safetensors", data.classes, data.metadata)
    draw = {"solver": {"steps": 2}, "select": {"method": "classifier", "label_noise": "drop", "confidence": 0.0}}
    run = [*arguments(project, draw=draw), "--in", f"classifier={project / 'features.safetensors'}"]
    assert pilot.main(merged(run)) == 0
    row = files.read_record(project / "pilot.json", "accuracy")
    assert row["images"] == 20 and 0 < row["kept"] < 20  # an untrained network does not draw what it is asked for
