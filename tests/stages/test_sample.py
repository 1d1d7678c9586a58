"""Budgeted sampling: within the budget, repeatable by number, the same images at any batch size, flat in memory."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from diffdistill.data import images as image_files
from diffdistill.diffusion import training, weights
from diffdistill.stages import sample

SHAPE = weights.Shape(8, 1, 3, 4, 32, 2, 2, 4.0)
METADATA = {"classes": json.dumps(["a", "b", "c"]), "source_checksum": "none", "step": "5"}


@pytest.fixture(scope="module")
def network_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "5.safetensors"
    weights.save(path, training.initialise(SHAPE.build, 3).state_dict(), SHAPE, METADATA)
    return path


def arguments(network_file: Path, folder: Path, settings: dict[str, Any]) -> list[str]:
    outputs = [f"samples={folder / 'samples.safetensors'}", f"account={folder / 'samples.json'}"]
    return ["--config", json.dumps(settings), "--in", f"weights={network_file}", "--out", *outputs, "--threads", "1"]


def draw(network_file: Path, folder: Path, **settings: Any) -> tuple[image_files.ImageSet, dict[str, Any]]:
    folder.mkdir(exist_ok=True)
    assert sample.main(arguments(network_file, folder, {"solver": {"steps": 4}, **settings})) == 0
    return image_files.load(folder / "samples.safetensors"), json.loads((folder / "samples.json").read_text())


def test_a_budgeted_set_is_repeated_by_its_number(network_file: Path, tmp_path: Path) -> None:
    budgeted, account = draw(network_file, tmp_path / "budget", budget_seconds=3, batch_size=64)
    assert account["images"] == len(budgeted.labels) > 200
    assert account["used_seconds"] <= 3
    counted, _ = draw(network_file, tmp_path / "count", images=account["images"], batch_size=64)
    assert torch.equal(budgeted.labels, counted.labels)
    differing = (budgeted.images.int() - counted.images.int()).abs()
    assert differing.max() <= 1 and (differing > 0).float().mean() < 0.01


@pytest.mark.parametrize("algorithm", ["dpmsolver++", "ancestral"])
def test_no_image_depends_on_the_batch(network_file: Path, tmp_path: Path, algorithm: str) -> None:
    solver = {"steps": 4, "algorithm": algorithm}
    small, _ = draw(network_file, tmp_path / "7", images=100, batch_size=7, solver=solver)
    large, _ = draw(network_file, tmp_path / "64", images=100, batch_size=64, solver=solver)
    longer, _ = draw(network_file, tmp_path / "long", images=130, batch_size=64, solver=solver)
    assert torch.equal(small.labels, torch.arange(100) % 3)
    for other in (large, longer):
        differing = (small.images.int() - other.images[:100].int()).abs()
        assert differing.max() <= 1 and (differing > 0).float().mean() < 0.01
    assert len({image.numpy().tobytes() for image in longer.images}) == 130


def test_another_seed_gives_other_images(network_file: Path, tmp_path: Path) -> None:
    one, _ = draw(network_file, tmp_path / "0", images=20, seed=0)
    other, _ = draw(network_file, tmp_path / "1", images=20, seed=1)
    assert not any(torch.equal(a, b) for a, b in zip(one.images, other.images, strict=True))


def test_a_budget_too_short_for_one_image_says_so(
    network_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"budget_seconds": 0.001, "solver": {"steps": 4}}
    assert sample.main(arguments(network_file, tmp_path, settings)) == 2
    assert "sample.budget_seconds: 0.001 s do not suffice" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_images(network_file: Path, tmp_path: Path) -> None:
    peaks = []
    for images in (1_000, 20_000):
        folder = tmp_path / str(images)
        folder.mkdir()
        settings = {"images": images, "solver": {"steps": 1}}
        script = (
            "import resource, sys; from diffdistill.stages import sample; code = sample.main(sys.argv[1:]);"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss); sys.exit(code)"
        )
        command = [sys.executable, "-c", script, *arguments(network_file, folder, settings)]
        run = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(int(run.stdout.splitlines()[-1]))
    assert peaks[1] < 1.1 * peaks[0]
