from pathlib import Path

import pandas as pd
import pytest
import torch

from diffdistill.data import image_files
from diffdistill.errors import UserError
from diffdistill.report import results
from tests.report.conftest import FINISHED, Make

HEAD = "experiment,train_set,images,seed,accuracy,epochs\n"


def test_every_part_but_the_real_images_may_be_absent(make: Make) -> None:
    (experiment,) = make(small={"kinds": ("real",)}).experiments.values()
    assert experiment.has() and experiment.real.per_class == (2, 2, 2) and experiment.real.bytes == 6 * 64
    for kind in (
        "accuracy",
        "baselines",
        "fid",
        "loss",
        "account",
        "audit",
        "study",
        "samples",
        "distilled",
        "challenge",
    ):
        assert not experiment.has(kind)


def test_a_finished_set_has_no_generator(make: Make) -> None:
    experiments = make(ours={}, theirs={"kinds": FINISHED, "dataset": "ours"}).experiments
    assert experiments["ours"].generator_bytes == 177_000_000 and experiments["ours"].network is not None
    assert experiments["theirs"].generator_bytes is None and experiments["theirs"].network is None


@pytest.mark.parametrize("name", ["NA", "null", "true", "1e5", "007", "nan"])
def test_any_name_is_text(make: Make, name: str) -> None:
    """G21: none of these is a missing value, a truth value or a number."""
    project = make(**{name: {}})
    assert project.experiments[name].runs["experiment"].unique().tolist() == [name]
    page = project.show()
    for table in ("accuracy", "sampling", "generators", "models"):
        read = results.table(project.folder / "tables" / f"{table}.csv")
        assert set(read["experiment"]) == {name}, table
    assert f"<h2>{name}</h2>" in page


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("baselines.csv", None, "baselines.csv: no such file"),
        ("baselines.csv", "", "baselines.csv: not a readable table"),
        ("baselines.csv", "experiment,train_set\nsmall,real\n", "no column images, seed, accuracy"),
        ("baselines.csv", "dataset,train_set,images,seed,accuracy\nsmall,real,9,0,1\n", "no column experiment"),
        ("accuracy.csv", HEAD + "other,distilled,9,0,0.9,1\n", "runs of other"),
        ("accuracy.csv", HEAD + "small,distilled,9,0,90,1\n", "between 0 and 1"),
        ("accuracy.csv", HEAD + "small,distilled,9,0,high,1\n", "accuracy is not a number"),
        ("fid.csv", "step,fid,images,features,solver,nfe,parameters\n", "has no rows"),
        ("samples.json", "{", "samples.json: not valid JSON"),
        ("audit.json", "{}", "has no 'verdict'"),
    ],
)
def test_what_is_missing_is_named(
    make: Make, capsys: pytest.CaptureFixture[str], file: str, text: str | None, message: str
) -> None:
    project = make(small={})
    path: Path = project.folder / "small" / file
    path.unlink() if text is None else path.write_text(text)
    assert project.run("tables") == 2
    assert message in capsys.readouterr().err and not (project.folder / "tables").exists()


def test_sets_of_other_classes_are_refused(make: Make) -> None:
    project = make(small={})
    path = project.file("small", "samples")
    data = image_files.load(path)
    image_files.save(path, data.images, data.labels, {"classes": '["one", "zero", "a <class> & $more"]'})
    with pytest.raises(UserError, match="differ in class names"):
        _ = project.experiments


def test_facts_of_a_set_that_stores_several_images_as_one(tmp_path: Path) -> None:
    images, labels = torch.zeros(8, 3, 4, 4, dtype=torch.uint8), torch.tensor([0] * 5 + [2] * 3)
    metadata = {"classes": '["a", "b", "c"]', "stored_images": "2"}
    image_files.save(tmp_path / "x.safetensors", images, labels, metadata)
    facts = results.set_facts(tmp_path / "x.safetensors")
    assert (facts.images, facts.stored_images, facts.bytes, facts.empty_classes) == (8, 2, 2 * 48, [1])


def test_missing_values_are_not_text(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("experiment,chosen_by,fid\nNA,,1.5\nNA,fid,\n")
    read = results.table(tmp_path / "x.csv")
    assert read["chosen_by"].isna().tolist() == [True, False] and pd.isna(read["fid"][1])
    assert read["experiment"].tolist() == ["NA", "NA"]
