"""A distilled set is measured on its own images, at several numbers of them."""

from pathlib import Path

from diffdistill.config import stages
from diffdistill.runtime import files
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


def test_rungs_end_at_the_smallest_class() -> None:
    assert measure.rungs(60, 10) == [1, 2, 5, 10, 20, 50]
    assert measure.rungs(1, 1) == [] and measure.rungs(0, 10) == []
