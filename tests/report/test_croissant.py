"""The card for machines is valid Croissant 1.1, and holds what the card says."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from diffdistill.report import croissant
from diffdistill.report.card import Licence
from diffdistill.runtime import files
from tests.report.conftest import Make
from tests.report.test_card import exported


def test_it_is_valid_croissant(make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    mlcroissant = pytest.importorskip("mlcroissant", reason="not installed; pip install mlcroissant")
    project = make(small={})
    (one,) = project.experiments.values()
    found = croissant.metadata(one, exported(project.folder), Licence("CC0.", "folder", ""))
    files.write_json(tmp_path / "croissant.json", found)
    with caplog.at_level(logging.WARNING):
        read = mlcroissant.Dataset(jsonld=str(tmp_path / "croissant.json"))
    assert not read.metadata.ctx.issues.errors and "context` is not standard" not in caplog.text
    assert [one.name for one in read.metadata.distribution] == ["images.zip", "train.parquet"]
    assert "It cannot show that none were copied." in read.metadata.data_limitations
    assert read.metadata.data_collection.startswith("Generated, not collected")
    records = [{key: value for key, value in row.items()} for row in read.records("classes")]
    assert [row["classes/label"] for row in records] == [0, 1, 2]


def test_it_holds_files_provenance_licence_and_audit(make: Make) -> None:
    project = make(small={})
    paths = exported(project.folder)
    (one,) = project.experiments.values()
    found = croissant.metadata(one, paths, Licence("CC0.", "folder", ""))
    assert found["conformsTo"][0] == "http://mlcommons.org/croissant/1.1" and "synthetic" in found["keywords"]
    assert [part["sha256"] for part in found["distribution"]] == [files.sha256(path) for path in paths]
    assert found["license"] == "of the real images: CC0." and "6 in the train split" in json.dumps(found)
    assert found["rai:dataCollectionType"][1].endswith("/trainedAlgorithmicMedia")
    assert "Not audited:" in " ".join(found["rai:dataLimitations"])
    bare = croissant.metadata(replace(one, audit=None), paths, Licence(None, "folder", "set it"))
    assert bare["rai:dataLimitations"] == ["Nothing: whether the set holds copies of real images is not known."]
