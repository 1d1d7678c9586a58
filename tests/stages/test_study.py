"""One table of the main evaluation and the study; trainings that do not belong together are refused."""

import json
from pathlib import Path

import pandas as pd
import pytest

from diffdistill.data import image_files
from tests import command
from tests.stages.test_study_run import METADATA, evaluated, folder, trained

__all__ = ["folder"]


def table(folder: Path, *runs: str) -> int:
    inputs = [("distilled", folder / "distilled.safetensors"), ("main", folder / "distilled.json")]
    inputs += [("baselines", folder / f"{name}.json") for name in ("real", "real-random")]
    inputs += [("runs", folder / f"{name}.json") for name in runs]
    return command.run("study", {"experiment": "tiny"}, inputs, {"table": folder / "study.csv"})


def test_one_table_holds_the_main_evaluation_and_the_study(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for train_set in ("real", "distilled", "real-random"):
        evaluated(folder, train_set, "distilled" if train_set == "distilled" else "real")
    trained(folder, "size-2-distilled")
    trained(folder, "epochs-3-real")
    trained(folder, "resampling-1-distilled", train="real")
    assert table(folder, "size-2-distilled", "epochs-3-real", "resampling-1-distilled") == 0
    rows = pd.read_csv(folder / "study.csv").set_index(["ablation", "train_set"])
    assert len(rows) == 6 and rows["steps"].tolist() == [10, 26, 10, 4, 39, 26]
    assert rows["images_per_class"].tolist() == [8, 20, 8, 2, 20, 20] and set(rows["seed"]) == {1}
    assert rows["resampling"].dropna().tolist() == [1] and set(rows["architecture"]) == {"convnet"}
    distilled = image_files.load(folder / "distilled.safetensors")
    image_files.save(
        folder / "distilled.safetensors", distilled.images, distilled.labels, METADATA | {"stored_images": "20"}
    )
    assert table(folder, "size-2-distilled", "epochs-3-real") == 0  # as if in grids of four: what is stored counts
    assert pd.read_csv(folder / "study.csv")["images_per_class"].tolist() == [2, 20, 8, 0.5, 20]
    other = json.loads((folder / "size-2-distilled.json").read_text())
    (folder / "other.json").write_text(json.dumps(other | {"trained_on": "another set"}))
    assert table(folder, "other") == 2
    assert "trained_on is another set, but" in capsys.readouterr().err
