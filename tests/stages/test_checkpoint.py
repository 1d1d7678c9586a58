"""Which iteration is chosen: by distance, or by what a few of its images teach."""

import copy
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from diffdistill import config
from diffdistill.errors import UserError
from diffdistill.report import columns, tables
from diffdistill.runtime import files, tensor_files
from tests import command
from tests.shipped import VALUES

FID = {10: 0.9, 20: 0.3, 30: 0.5, 40: 0.4}
PILOTS: dict[int, dict[str, Any]] = {
    10: {"accuracy": 0.80, "standard_error": 0.01, "nfe": 10},
    30: {"accuracy": 0.895, "standard_error": 0.01, "nfe": 10},
    40: {"accuracy": 0.90, "standard_error": 0.02, "nfe": 10},
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Weights, distances and pilots."""
    for step, distance in FID.items():
        (tmp_path / f"{step}.safetensors").write_bytes(str(step).encode())
        write(tmp_path, "fid", step, {"fid": distance, "images": 100})
    for step, pilot in PILOTS.items():
        write(tmp_path, "pilot", step, pilot)
    return tmp_path


def write(folder: Path, kind: str, step: int | str, row: dict[str, Any]) -> None:
    made_by = {"name": str(step), "step": step, "weights_sha256": files.sha256(folder / f"{step}.safetensors")}
    record = {**made_by, **row}
    files.write_json(folder / f"{kind}.{step}.json", [record] if kind == "fid" else record)


def picked(folder: Path, by: str = "pilot", names: Sequence[int | str] = tuple(FID)) -> dict[str, Any]:
    """checkpoint.json; the stage must succeed."""
    assert run(folder, {"by": by}, names) == 0
    return dict(files.read_json(folder / "checkpoint.json"))


def run(folder: Path, settings: dict[str, Any], names: Sequence[int | str] = tuple(FID)) -> int:
    inputs = [("fid", folder / f"fid.{name}.json") for name in names]
    inputs += [("weights", folder / f"{name}.safetensors") for name in names]
    inputs += [("pilot", path) for path in sorted(folder.glob("pilot.*.json")) if settings["by"] == "pilot"]
    outputs = {"table": "fid.csv", "checkpoint": "checkpoint.json", "weights": "checkpoint"}
    return command.run("checkpoint", settings, inputs, {name: folder / file for name, file in outputs.items()})


def test_the_lowest_distance(project: Path) -> None:
    weights_sha256 = hashlib.sha256(b"20").hexdigest()
    assert picked(project, "fid") == {
        "name": "20", "step": 20, "by": "fid", "fid": 0.3, "weights_sha256": weights_sha256,
    }  # fmt: skip
    assert (project / "checkpoint").read_bytes() == b"20"
    table = pd.read_csv(project / "fid.csv").set_index("step")
    assert "pilot_accuracy" not in table and table["chosen_by"].dropna().to_dict() == {20: "fid"}


def test_pilots_that_are_not_told_apart_leave_it_to_the_distance(project: Path) -> None:
    found = picked(project)
    # 40 is the best, 30 within its error and not as near; 20 has no pilot, 10 is worse
    assert (found["step"], found["tied"], found["pilot_accuracy"]) == (40, ["30", "40"], 0.9)
    assert (project / "checkpoint").read_bytes() == b"40"
    table = pd.read_csv(project / "fid.csv").set_index("step")
    assert table["pilot_accuracy"].dropna().to_dict() == {step: row["accuracy"] for step, row in PILOTS.items()}
    assert table["chosen_by"].dropna().to_dict() == {40: "pilot"} and list(table.index) == list(FID)


@pytest.mark.parametrize(
    ("step", "change", "expected"),
    [
        (40, {"standard_error": 0.001}, 40),  # told apart
        (30, {"nfe": 5}, 30),  # cheaper
        (10, {"nfe": 5}, 40),  # cheaper, but worse
        (30, {"accuracy": 0.93}, 30),  # the best by far, and its error is the one that counts
        (10, {"accuracy": 0.89}, 40),  # three that are not told apart
    ],
)
def test_accuracy_then_cost_then_distance(project: Path, step: int, change: dict[str, Any], expected: int) -> None:
    write(project, "pilot", step, PILOTS[step] | change)
    assert picked(project)["step"] == expected


SLOW, FAST = {"solver": {"nfe": 10}}, {"solver": {"nfe": 5}, "guidance": None, "select": {"method": "all"}}


@pytest.mark.parametrize(
    ("accuracy", "expected"),
    [
        (0.90, (40, FAST)),  # not told apart, and cheaper
        (0.85, (40, SLOW)),
        (0.95, (30, FAST)),  # better, with weights that are farther
    ],
)
def test_pilots_that_draw_in_several_ways_choose_one(project: Path, accuracy: float, expected: tuple[int, Any]) -> None:
    for step, row in PILOTS.items():
        write(project, "pilot", step, {**row, "setup": SLOW})
        few = {"setup": FAST, "nfe": 5, "accuracy": accuracy if step == expected[0] else 0.7}
        write(project, f"pilot.{step}", step, {**row, **few})
    settings = {"by": "pilot", "setups": [SLOW, FAST]}
    assert run(project, settings) == 0
    found = files.read_json(project / "checkpoint.json")
    assert (found["step"], found["setup"]) == expected
    table = pd.read_csv(project / "fid.csv").set_index("step")
    assert len(table) == len(FID) and table["pilot_setup"][10] == '{"solver": {"nfe": 10}}'
    (project / "pilot.10.json").write_text((project / "pilot.10.10.json").read_text())
    assert run(project, settings) == 2  # one stands twice


def test_the_report_shows_what_was_measured_and_what_chose(project: Path) -> None:
    write(project, "fid", 20, {"fid": 0.3, "images": 100, "recall": 0.5, "precision": None})
    picked(project)
    shown = columns.shown(tables.measurements(pd.read_csv(project / "fid.csv")))
    assert list(shown) == ["iteration", "FID", "recall", "pilot accuracy", "pilot standard error", "chosen by"]
    assert shown.loc[1].tolist() == ["20", "0.3", "0.5000", "", "", ""]
    assert shown.loc[3].tolist() == ["40", "0.4", "", "0.9000", "0.0200", "pilot"]


def test_of_equal_distances_the_earliest(project: Path) -> None:
    write(project, "fid", 30, {"fid": FID[40], "images": 100})
    assert picked(project)["step"] == 30


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"evaluations_in_all": 7}, "evaluations_in_all is"),
        ({"protocol": "other"}, "pilots of different kinds"),
        ({"weights_sha256": "0"}, "made with other weights"),
        ({"accuracy": "good"}, "are not numbers"),
    ],
)
def test_pilots_of_another_kind_are_refused(
    project: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], said: str
) -> None:
    write(project, "pilot", 40, PILOTS[40] | change)
    assert run(project, {"by": "pilot"}) == 2 and said in capsys.readouterr().err
    assert not (project / "checkpoint.json").exists() and not (project / "fid.csv").exists()


def digits(**changes: dict[str, Any]) -> config.Experiment:
    block = copy.deepcopy(VALUES["experiments"]["digits"])
    for name, change in changes.items():
        block[name] = {**block.get(name, {}), **change}
    return config.read(config.Experiment, block, "here")


def test_only_a_pilot_needs_pilots() -> None:
    assert digits().pilots() == []
    pilots = digits(checkpoint={"by": "pilot"}).pilots()
    assert [(ema.name, setup) for ema, setup in pilots] == [(str(step), 0) for step in digits().ema_steps()]


def test_every_average_is_tried_in_every_way_that_it_can_be_drawn() -> None:
    setups = [{}, {"solver": {"nfe": 20}, "guidance": {"weight": 2, "from_step": 2000}}]
    several = digits(
        train={"ema_decays": [0.999, 0.99]}, checkpoint={"by": "pilot", "candidates": [2000, 4000], "setups": setups}
    )
    assert [ema.name for ema in several.emas([2000])] == ["2000", "2000-ema1"]
    assert several.ema("2000-ema1") == ("2000-ema1", 2000, 0.99)
    first = [("2000", 0), ("2000-ema1", 0)]  # those of iteration 2000 do not guide themselves
    assert [(ema.name, setup) for ema, setup in several.pilots()] == [
        *first,
        *((name, setup) for name in ("4000", "4000-ema1") for setup in (0, 1)),
    ]
    assert [setup.solver.nfe for setup in several.pilot_setups if setup.solver] == [8, 20]
    with pytest.raises(UserError, match="no weights '2000-ema2' are kept; kept: 1000, 1000-ema1, 2000"):
        several.ema("2000-ema2")


def test_averages_of_one_iteration_are_told_apart(project: Path) -> None:
    for step in FID:
        write(project, "fid", step, {"fid": FID[step], "images": 100, "ema_decay": "0.999"})
    longer = {"fid": 0.2, "images": 100, "ema_decay": "0.9999", "name": "40-ema1"}
    (project / "40-ema1.safetensors").write_bytes(b"longer")
    write(project, "fid", "40-ema1", longer | {"step": 40})
    write(project, "pilot", "40-ema1", PILOTS[40] | {"step": 40, "name": "40-ema1"})
    for by in ("fid", "pilot"):  # the lowest; not told apart from 40, and lower
        found = picked(project, by, [*FID, "40-ema1"])
        assert (found["name"], found["step"]) == ("40-ema1", 40)
        assert (project / "checkpoint").read_bytes() == b"longer"
    table = pd.read_csv(project / "fid.csv")
    assert table["ema_decay"].tolist() == [0.999] * 4 + [0.9999]
    assert columns.shown(tables.measurements(table))["EMA decay"].tolist() == ["0.999"] * 4 + ["0.9999"]
    assert list(tables.by_ema(table)) == ["0.9999", "0.999"]


def test_a_pilot_trains_half_as_long_as_the_evaluation_unless_told() -> None:
    assert digits().pilot_protocol.steps == (digits().evaluate.protocol.steps or 0) // 2
    epochs = {"epochs": 9, "steps": None, "width": 8}
    assert digits(evaluate={"protocol": epochs}).pilot_protocol.epochs == 4
    assert digits(checkpoint={"protocol": epochs}).pilot_protocol.epochs == 9


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"by": "pilot", "candidates": [1500]}, "1500 is not measured; give multiples of fid.every 1000"),
        ({"by": "pilot", "candidates": [60_000]}, "60000 is not measured"),
        ({"by": "pilot", "candidates": [1000, 1000]}, "duplicate"),
        ({"by": "pilot", "seeds": [1, 1]}, "duplicate"),
        ({"candidates": [1000]}, "by: pilot"),
        ({"setups": [{"solver": {"nfe": 5}}]}, "by: pilot"),
        ({"by": "pilot", "setups": [{"solver": {"nfe": 5}}] * 2}, "duplicate"),
        ({"by": "pilot", "setups": [{"solver": {"algorithm": "consistency"}}]}, "tuned after"),
        ({"by": "pilot", "setups": [{"select": {"method": "herding", "per_class": 5}}]}, "keeps a number of images"),
        ({"by": "pilot", "setups": [{}, {"guidance": {"weight": 2}}]}, "setups.1.guidance without from_step needs"),
        ({"by": "pilot", "setups": [{"guidance": {"weight": 2, "from_step": 4000}}]}, "no candidate comes after"),
        ({"by": "looks"}, "checkpoint.by"),
    ],
)
def test_settings_that_cannot_be(change: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        digits(checkpoint=change)


def test_without_measurements_the_last_primary_ema_is_taken(project: Path) -> None:
    (project / "40-ema1.safetensors").write_bytes(b"other")
    image_files_like = project / "50.safetensors"
    tensor_files.save(image_files_like, {}, {"step": "50"})
    inputs = [("weights", path) for path in (image_files_like, project / "40-ema1.safetensors")]
    outputs = {"checkpoint": project / "checkpoint.json", "weights": project / "checkpoint"}
    assert command.run("checkpoint", {"by": "last"}, inputs, outputs) == 0
    found = files.read_json(project / "checkpoint.json")
    assert (found["name"], found["step"], found["by"]) == ("50", 50, "last")
    assert (project / "checkpoint").read_bytes() == image_files_like.read_bytes()


def test_a_distance_that_is_not_finite_is_skipped_by_name(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = project / "fid.20.json"
    path.write_text(path.read_text().replace("0.3", "NaN"))
    assert picked(project, "fid")["step"] == 40
    assert "fid.20.json: the FID of 20 is not finite; this checkpoint is skipped" in capsys.readouterr().err
    assert len(pd.read_csv(project / "fid.csv")) == 3


def test_nothing_is_written_if_no_distance_is_finite(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for step, distance in FID.items():
        path = project / f"fid.{step}.json"
        path.write_text(path.read_text().replace(str(distance), "NaN"))
    assert run(project, {"by": "fid"}) == 2
    assert "fid is nan, and so it is for all 4 checkpoints" in capsys.readouterr().err
    assert not any((project / name).exists() for name in ("fid.csv", "checkpoint.json", "checkpoint"))
