"""Budgeted sampling: within the budget, repeatable by number, the same images at any batch size, flat in memory."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from diffdistill.data import image_files
from diffdistill.diffusion import sampling, training, weights
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


def differing_levels(a: image_files.ImageSet, b: image_files.ImageSet) -> torch.Tensor:
    return (a.images.int() - b.images.int()).abs().float()


@pytest.mark.parametrize("algorithm", ["unipc", "ipndm"])
def test_every_solver_draws(network_file: Path, tmp_path: Path, algorithm: str) -> None:
    solver = {"steps": 20, "algorithm": algorithm, "order": 3, "spacing": "rho"}
    one, _ = draw(network_file, tmp_path / algorithm, images=20, solver=solver)
    two, _ = draw(network_file, tmp_path / "other", images=20, solver={"steps": 60})
    assert differing_levels(one, two).mean() < 2


def test_the_account_says_how_the_network_ran(network_file: Path, tmp_path: Path) -> None:
    exact, account = draw(network_file, tmp_path / "exact", images=20)
    assert account["plan"]["precision"] == "float32" and not account["plan"]["compiled"]
    assert "too short" in account["plan"]["reason"]
    half, account = draw(network_file, tmp_path / "half", images=20, precision="bfloat16", compile=False)
    assert account["plan"]["precision"] == "bfloat16" and account["plan"]["reason"] == "as set"
    assert 0 < differing_levels(exact, half).mean() < 2


@pytest.mark.slow
def test_a_compiled_network_draws_the_same_images_in_one_batch_size(network_file: Path, tmp_path: Path) -> None:
    plain, _ = draw(network_file, tmp_path / "plain", images=50)
    compiled, account = draw(network_file, tmp_path / "compiled", images=50, compile=True, batch_size=16)
    assert account["plan"]["compiled"] and account["batch_size"] == 16
    assert len(compiled.labels) == 50 and torch.equal(plain.labels, compiled.labels)
    assert differing_levels(plain, compiled).max() <= 1


def test_a_long_budget_is_worth_a_probe(network_file: Path) -> None:
    network, shape, _ = weights.load(network_file, torch.device("cpu"))
    settings: dict[str, Any] = {"batch_size": 32, "device": torch.device("cpu")}
    _, plan = sampling.planned(network, shape, precision="auto", compile=False, budget_seconds=600, **settings)
    assert "in a batch of 32 took: float32 " in plan.reason and ", bfloat16 " in plan.reason
    assert plan.precision in ("float32", "bfloat16") and plan.batch_size is None
    run, plan = sampling.planned(network, shape, precision="float32", compile="auto", budget_seconds=200, **settings)
    assert run is network and not plan.compiled


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
