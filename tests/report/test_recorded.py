import json
from dataclasses import replace

from diffdistill.config import Select
from diffdistill.report import recorded
from tests.report.conftest import Make


def test_what_files_say_goes_before_todays_config(make: Make) -> None:
    (one,) = make(small={}).experiments.values()
    assert one.samples is not None
    trained = {"train": {"batch_size": 64, "precision": "bfloat16"}, "model": {"kind": "unet", "channels": 8}}
    carried = replace(one, samples=replace(one.samples, metadata={"trained_by": json.dumps(trained)}))
    assert recorded.setting(one, "train", "batch_size") == 16  # no file says it: today's
    assert recorded.setting(carried, "train", "batch_size") == 64
    found = recorded.settings(carried)
    assert found["train"] == trained["train"] and found["select"] == {"method": "all", "seed": 2}
    assert found["sample"]["solver"]["nfe"] == 20 and found["evaluate"]["seeds"] == [0, 1, 2]
    assert found["fid"] == {"images": 500, "seed": 5, "features": "inception"}


def test_where_the_config_has_changed_since(make: Make) -> None:
    (one,) = make(small={}).experiments.values()
    assert recorded.differences(one).empty
    one.settings["select"]["seed"] = 3
    one.settings["evaluate"]["seeds"] = [0, 1]
    assert recorded.differences(one).to_numpy().tolist() == [
        ["select.seed", "2", "3"], ["evaluate.seeds", "[0, 1, 2]", "[0, 1]"],
    ]  # fmt: skip


def test_what_a_pilot_picked_is_no_change(make: Make) -> None:
    (one,) = make(small={}).experiments.values()
    assert one.account is not None and one.distilled is not None
    select = Select(method="classifier", label_noise="drop").model_dump(mode="json")
    asked = {"settings": {"select": Select().model_dump(mode="json")}}
    metadata = {"selected_by": json.dumps(select), "made_from": json.dumps(asked)}
    picked = replace(one, distilled=replace(one.distilled, metadata=metadata))
    solver = one.account["solver"]
    today = {
        "sample": {"solver": solver | {"nfe": 10}, "guidance": None}, "select": Select().model_dump(mode="json"),
        "checkpoint": {"setups": [
            {"solver": None, "guidance": None, "select": None}, {"solver": solver, "guidance": None, "select": select},
        ]},
    }  # fmt: skip
    picked.settings.update(today)
    assert recorded.settings(picked)["select"] == select
    assert recorded.differences(picked).empty
    picked.settings["checkpoint"]["setups"][1]["solver"] = solver | {"order": 3}
    assert recorded.differences(picked).to_numpy().tolist() == [["sample.solver.order", "2", "3"]]
    picked.settings["checkpoint"]["setups"] = None
    assert set(recorded.differences(picked)["setting"]) == {
        "sample.solver.nfe", "select.method", "select.label_noise",
    }  # fmt: skip


def test_a_protocol_in_the_accuracies_is_read(make: Make) -> None:
    (one,) = make(small={}).experiments.values()
    assert one.accuracy is not None
    carried = replace(one, accuracy=one.accuracy.assign(protocol=json.dumps({"width": 64})))
    assert recorded.differences(carried).to_numpy().tolist() == [["evaluate.protocol.width", "64", "16"]]


def test_seeds_by_place() -> None:
    assert recorded.seeds({"train": {"seed": 3, "x": 1}, "evaluate": {"seeds": [0, 1]}}) == [
        ("train.seed", "3"), ("evaluate.seeds", "0, 1"),
    ]  # fmt: skip
