"""The numbers of a comparison against a computation by hand, and what stands apart."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from diffdistill.config.stages import ComparedSet
from diffdistill.errors import UserError
from diffdistill.report import comparison
from tests.report.conftest import Make

PROTOCOL: dict[str, Any] = {"steps": 5, "mean": None, "std": None}


def runs(folder: Path, accuracies: dict[int, float], tested_on: str = "test", **protocol: Any) -> tuple[str, ...]:
    folder.mkdir(parents=True)
    for seed, accuracy in accuracies.items():
        row = {"accuracy": accuracy, "seed": seed, "protocol": json.dumps(PROTOCOL | protocol), "tested_on": tested_on}
        (folder / f"{seed}.json").write_text(json.dumps(row))
    return tuple(str(folder / f"{seed}.json") for seed in accuracies)


def measured(path: Path, fid: dict[str, float]) -> str:
    row = {"features_sha256": "f", "classifier_sha256": "c", "classes": 3, "fid": fid, "label_agreement": 0.75}
    path.write_text(json.dumps(row))
    return str(path)


@pytest.fixture
def sets(make: Make, tmp_path: Path) -> dict[str, ComparedSet]:
    """Three distilled and two real images of each of three classes, of 64 bytes; ours is the better one."""
    reported = make(ours={}, theirs={}).report.experiments
    real = runs(tmp_path / "real", {0: 0.8, 1: 1.0})
    unread = dict.fromkeys(("accuracy", "baselines", "fid", "samples", "audit_pairs"))
    reported = {
        name: one.model_copy(update={"files": one.files.model_copy(update=unread)}) for name, one in reported.items()
    }
    where = str(reported["ours"].files.real)
    files = {
        name: measured(tmp_path / f"{name}.json", {"1": 9.0, "2": fid})
        for name, fid in (("ours", 4.0), ("theirs", 5.0))
    }
    measured(tmp_path / "ours.json", {"1": 8.0, "2": 4.0, "5": 1.0})
    accuracies = {"ours": {0: 0.7, 1: 0.8, 2: 0.9}, "theirs": {1: 0.6, 2: 0.5}}
    found = {
        name: ComparedSet(
            runs=runs(tmp_path / f"{name}-runs", accuracies[name]), real_runs=real, real=where,
            experiment=reported[name], measured=files[name],
        )
        for name in ("theirs", "ours")
    }  # fmt: skip
    few = runs(tmp_path / "few", {0: 0.4, 1: 0.4})
    return found | {"real_1_per_class": ComparedSet(runs=few, real_runs=real, real=where, per_class=1)}


def judged(sets: dict[str, ComparedSet]) -> pd.DataFrame:
    return comparison.judge([comparison.read(name, one) for name, one in sets.items()]).set_index("set")


def test_numbers_are_those_of_a_computation_by_hand(sets: dict[str, ComparedSet]) -> None:
    table = judged(sets)
    assert table["mean"].tolist() == pytest.approx([0.55, 0.8, 0.4])
    assert table["relative_accuracy"].tolist() == pytest.approx([0.55 / 0.9, 0.8 / 0.9, 0.4 / 0.9])
    # seeds 1 and 2: -0.2 and -0.4, mean -0.3, standard error 0.1; t of one degree of freedom is 12.7062
    theirs = table.loc["theirs"]
    assert theirs["seeds"] == "1, 2" and theirs["difference"] == pytest.approx(-0.3)
    assert theirs["difference_low"] == pytest.approx(-0.3 - 1.27062, abs=1e-5)
    assert theirs["difference_high"] == pytest.approx(-0.3 + 1.27062, abs=1e-5)
    assert table["difference"].isna()["ours"] and table.loc["real_1_per_class", "seeds"] == "0, 1"
    assert table["images"].tolist() == [9, 9, 3] and table["bytes"].tolist() == [576, 576, 192]
    assert table["images_per_class"].tolist() == [3, 3, 1] and table["images_share"].tolist() == [1.5, 1.5, 0.5]
    assert table.loc["ours", "seconds"] == 10 and table.loc["ours", "generator_bytes"] == 177_000_000
    # both have 1 and 2 images per class: six images
    assert table["fid"].tolist()[:2] == [5.0, 4.0] and table["fid_images"].tolist()[:2] == [6, 6]
    assert table.loc["ours", "audit"] == "pass" and "not_compared" not in table


def test_sets_judged_in_another_way_stand_apart(sets: dict[str, ComparedSet], tmp_path: Path) -> None:
    other = sets["theirs"].model_copy(
        update={"runs": runs(tmp_path / "other", {0: 0.99}, "elsewhere", steps=9, mean=[0.5], std=[0.5])}
    )
    table = judged(sets | {"other": other})
    reason = "another test split; another normalisation (mean, std); another protocol (steps)"
    assert table.loc["other", "not_compared"] == reason
    assert table["difference"].isna()["other"] and table["difference"].isna()["ours"]
    with pytest.raises(UserError, match="no two sets compare; unlike ours, other: another test split"):
        judged({"ours": sets["ours"], "other": other})


def test_soft_labels_stand_apart_because_hard_ones_were_trained_on(sets: dict[str, ComparedSet]) -> None:
    reported = sets["theirs"].experiment
    assert reported is not None and reported.files.account is not None
    generator = {"kind": "samples", "form": "tensors", "bytes": 9, "soft_labels": True}
    Path(reported.files.account).write_text(json.dumps({"images": 9, "generator": generator}))
    table = judged(sets)
    assert table["not_compared"].dropna().to_dict() == {"theirs": "soft labels, judged as hard ones"}
    with pytest.raises(UserError, match="no two sets compare; unlike theirs, ours: no soft labels"):
        judged({name: sets[name] for name in ("theirs", "ours")})


def test_other_networks_measure_apart(sets: dict[str, ComparedSet]) -> None:
    path = Path(str(sets["ours"].measured))
    path.write_text(path.read_text().replace('"c"', '"d"'))
    table = judged(sets)
    assert table.loc["theirs", "fid"] == 5.0 and table["fid"].isna()["ours"]
    assert table["label_agreement"].isna()["ours"]
