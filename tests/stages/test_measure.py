"""A distilled set is measured on its own images, at several numbers of them."""

import json
from pathlib import Path

import pytest

from diffdistill.config import stages
from diffdistill.runtime import files, tensor_files
from diffdistill.stages import measure
from tests import command
from tests.stages.test_fid import project

__all__ = ["project"]


def run(folder: Path, distilled: str) -> int:
    inputs = {name: folder / f"{name}.safetensors" for name in ("classifier", "reference")}
    inputs |= {"distilled": folder / f"{distilled}.safetensors", "features": folder / "classifier.safetensors"}
    return command.run("measure", stages.Measure(features="classifier"), inputs, {"measured": folder / "out.json"})


def test_the_train_split_itself_is_measured_at_each_number(project: Path) -> None:
    assert run(project, "train") == 0
    row = files.read_record(project / "out.json", "fid")
    assert list(row["fid"]) == ["1", "2", "5", "10"] and row["images"] == 60 and row["classes"] == 3
    assert 0 <= row["label_agreement"] <= 1
    assert row["fid"]["10"] < row["fid"]["1"]


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("reference", {"source_checksum": "other"}, "reference.safetensors"),
        ("reference", {"features_sha256": "0" * 64}, "made with other features than"),
        ("reference", {"features": "inception"}, "made with other features than"),
        ("classifier", {"classes": json.dumps(["b", "a", "c"])}, "differ in class names or their order"),
        ("classifier", {"source_checksum": "other"}, "classifier.safetensors"),
    ],
)
def test_networks_and_references_of_other_images_are_refused(
    project: Path, name: str, changes: dict[str, str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tensors, metadata = tensor_files.load(project / f"{name}.safetensors")
    tensor_files.save(project / f"{name}.safetensors", tensors, metadata | changes)
    assert run(project, "train") == 2
    assert said in capsys.readouterr().err and not (project / "out.json").exists()


def test_rungs_end_at_the_smallest_class() -> None:
    assert measure.rungs(60, 10) == [1, 2, 5, 10, 20, 50]
    assert measure.rungs(1, 1) == [] and measure.rungs(0, 10) == []
