"""A generator in a user's file makes samples within a budget, and only in this stage."""

from pathlib import Path
from typing import Any

import pytest
import torch

from diffdistill.data import image_files
from diffdistill.runtime import files
from tests import command
from tests.generators.making import save_dit

EXAMPLE = Path(__file__).parents[2] / "docs/gaussians.py"


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    outputs = {name: folder / f"{name}.safetensors" for name in ("train", "validation", "test")}
    settings = {"kind": "digits", "test_per_class": 20, "validation_per_class": 7}
    assert command.run("prepare", {"source": settings}, {}, outputs) == 0
    return folder


def run(splits: Path, folder: Path, path: Path, name: str, **sample: Any) -> int:
    settings = {"generator": {"kind": "python", "path": str(path), "name": name}, "sample": sample}
    outputs = {"samples": folder / "samples.safetensors", "account": folder / "samples.json"}
    return command.run("generate", settings, {"train": splits / "train.safetensors", "generator": path}, outputs)


def test_the_example_generates_within_a_budget(splits: Path, tmp_path: Path) -> None:
    assert run(splits, tmp_path, EXAMPLE, "Gaussians", images=70, batch_size=30, seed=3) == 0
    whole, test = (image_files.load(path) for path in (tmp_path / "samples.safetensors", splits / "test.safetensors"))
    assert whole.images.shape == (70, 1, 8, 8) and whole.labels.tolist() == [row % 10 for row in range(70)]
    assert image_files.origin_of(whole.metadata) == image_files.origin_of(test.metadata) != {}
    assert whole.metadata["made_by"] == "Gaussians in gaussians.py, seed 3"
    account = files.read_record(tmp_path / "samples.json", "images", "generator", "used_seconds", "machine")
    assert account["images"] == 70 and account["generator"]["kind"] == "python"
    assert account["generator"]["bytes"] == EXAMPLE.stat().st_size
    assert run(splits, tmp_path, EXAMPLE, "Gaussians", budget_seconds=2.0, batch_size=20, seed=3) == 0
    some = image_files.load(tmp_path / "samples.safetensors").images
    assert torch.equal(some[:70], whole.images[: len(some)])


def test_a_pipeline_generates(splits: Path, tmp_path: Path) -> None:
    folder = save_dit(tmp_path / "dit")
    names = [str(number) for number in range(10)]
    settings = {
        "generator": {"kind": "pipeline", "path": "elsewhere", "classes": names, "steps": 2},
        "sample": {"images": 20, "batch_size": 10},
    }
    outputs = {"samples": tmp_path / "samples.safetensors", "account": tmp_path / "samples.json"}
    assert command.run("generate", settings, {"train": splits / "train.safetensors", "generator": folder}, outputs) == 0
    samples = image_files.load(tmp_path / "samples.safetensors")
    assert samples.images.shape == (20, 1, 8, 8) and "2 steps" in samples.metadata["made_by"]
    account = files.read_record(tmp_path / "samples.json", "generator")
    assert account["generator"]["kind"] == "pipeline" and account["generator"]["bytes"] > 0


def test_what_fails_leaves_nothing(splits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "class Mine:\n    def __init__(self, train, seed): pass\n    def generate(self, f, y): return y.no\n"
    )
    assert run(splits, tmp_path, path, "Mine", images=5) == 2
    said = capsys.readouterr().err
    assert "mine.py:3: Mine.generate(0, 1 labels) fails with AttributeError" in said and "Traceback" not in said
    assert not (tmp_path / "samples.safetensors").exists() and not (tmp_path / "samples.json").exists()
