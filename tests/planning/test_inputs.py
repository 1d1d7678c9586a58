"""Which files the jobs of a rule read."""

from typing import Any

import pytest

from diffdistill.errors import UserError
from diffdistill.planning.inputs import INPUTS
from tests.planning.conftest import VALUES, Planner, wildcards

DIGITS = wildcards(experiment="x", seed="0", ema="1000", step="2000", setup="0", run="size-5-distilled")
SAMPLES = {"generator": {"kind": "samples", "path": "theirs"}, "checkpoint": {}} | dict.fromkeys(
    ("model", "train", "fid", "sample", "tune")
)
PILOT = {
    "by": "pilot",
    "candidates": [2000],
    "setups": [{}, {"guidance": {"weight": 2, "from_step": 1000}, "select": {"method": "classifier"}}],
}


def read(plan_of: Planner, rule: str, change: dict[str, Any], **names: str) -> dict[str, Any]:
    return INPUTS[rule](plan_of(x=change), wildcards(**{**vars(DIGITS), **names}))


def test_slices_follow_each_other(plan_of: Planner) -> None:
    assert read(plan_of, "train", {})["before"] == []
    later = read(plan_of, "train", {}, step="4000")
    assert later["before"] == ["results/x/train/2000.safetensors"] and later["train"] == "data/x/train.safetensors"
    with pytest.raises(UserError, match=r"results/x/train/33.safetensors: no training slice ends at iteration 33"):
        read(plan_of, "train", {}, step="33")


def test_start_weights_are_read_by_the_first_slice_alone(plan_of: Planner) -> None:
    change = {"train": {"start": {"path": "w.pth"}}}
    assert read(plan_of, "train", change)["start"] == ["w.pth"]
    assert read(plan_of, "train", change, step="4000")["start"] == []


def test_sub_classes_are_read_if_there_are_some(plan_of: Planner) -> None:
    assert read(plan_of, "train", {})["subclasses"] == []
    divided = {"train": {"subclasses": 2}}
    for rule in ("train", "tune"):
        assert read(plan_of, rule, divided)["subclasses"] == ["results/x/subclasses.safetensors"]


def test_a_measurement_reads_the_classifier_only_for_class_measures(plan_of: Planner) -> None:
    found = read(plan_of, "fid", {}, ema="2000")
    assert found["classifier"] == [found["features"]]
    inception = {"fid": {"features": "inception"}}
    assert read(plan_of, "fid", inception, ema="2000")["classifier"] == []
    both = {"fid": {"features": "inception", "class_measures": True}}
    assert read(plan_of, "fid", both, ema="2000")["classifier"] == found["classifier"]


def test_one_job_measures_all_checkpoints_of_a_slice_if_they_are_small(plan_of: Planner) -> None:
    assert read(plan_of, "checkpoint", {})["fid"] == ["results/x/fid/2000.json", "results/x/fid/4000.json"]
    weights = read(plan_of, "fid", {}, ema="4000")["weights"]
    assert weights == ["results/x/weights/3000.safetensors", "results/x/weights/4000.safetensors"]
    with pytest.raises(UserError, match=r"fid/1000.json: no job measures this; known: 2000, 4000"):
        read(plan_of, "fid", {}, ema="1000")
    large = {"fid": {"images": 50_000}}
    steps = (1000, 2000, 3000, 4000)
    assert read(plan_of, "checkpoint", large)["fid"] == [f"results/x/fid/{step}.json" for step in steps]
    assert read(plan_of, "fid", large)["weights"] == ["results/x/weights/1000.safetensors"]


def test_the_pilots_choice_is_read_where_it_decides(plan_of: Planner) -> None:
    change = {"checkpoint": PILOT}
    assert read(plan_of, "checkpoint", change)["pilot"] == [f"results/x/pilot/2000.{setup}.json" for setup in (0, 1)]
    sample = read(plan_of, "sample", change)
    assert sample["checkpoint"] == "results/x/checkpoint.json"
    assert sample["guide"] == ["results/x/weights/1000.safetensors"]
    selection = read(plan_of, "selection", change)
    assert selection["checkpoint"] == "results/x/checkpoint.json" and "classifier" in selection
    assert read(plan_of, "selection", {}) == {} and "checkpoint" not in read(plan_of, "sample", {})


def test_tuned_weights_sample_by_consistency(plan_of: Planner) -> None:
    change = {"tune": {"iterations": 5, "batch_size": 5}, "sample": {"solver": {"algorithm": "consistency", "nfe": 2}}}
    assert read(plan_of, "sample", change) == {"weights": "results/x/tuned.safetensors"}


def test_mode_guidance_reads_the_images_that_have_modes(plan_of: Planner) -> None:
    assert not {"train", "classifier"} & set(read(plan_of, "sample", {}))
    change = {"sample": {"modes": {"per_class": 5}}}
    files = read(plan_of, "sample", change)
    assert files["train"] == "data/x/train.safetensors" and files["classifier"].startswith("data/x/classifier/")
    with pytest.raises(UserError, match=r"sample\.modes"):
        setups = {"by": "pilot", "setups": [{"solver": {"nfe": 4}}]}
        read(plan_of, "sample", {**change, "checkpoint": setups})


def test_baselines_read_what_they_take_images_from(plan_of: Planner) -> None:
    real = read(plan_of, "baseline", {}, train_set="real-random")
    assert real["train"] == "data/x/train.safetensors" and real["whole"].startswith("data/x/real/")
    some = read(plan_of, "baseline", {}, train_set="random-samples")
    assert some["train"] == "results/x/samples.safetensors"
    assert some["whole"] == "results/x/baseline/all-samples.0.json"
    assert set(read(plan_of, "baseline", {}, train_set="all-samples")) == {"train", "test"}


def test_a_selection_has_more_baselines(plan_of: Planner) -> None:
    assert len(read(plan_of, "baselines", {})["accuracy"]) == 6
    herding = {"select": {"method": "herding", "per_class": 5}}
    assert len(read(plan_of, "baselines", herding)["accuracy"]) == 12


def test_a_finished_set_is_audited_without_weights(plan_of: Planner) -> None:
    assert read(plan_of, "audit", {})["weights"] == ["results/x/checkpoint.safetensors"]
    assert read(plan_of, "audit", SAMPLES)["weights"] == []
    with pytest.raises(UserError, match=r"generator.kind 'samples' does not sample weights"):
        read(plan_of, "sample", SAMPLES)
    with pytest.raises(UserError, match="nothing is trained"):
        read(plan_of, "history", SAMPLES)


def test_the_export_is_asked_of_the_audit_if_there_is_one(plan_of: Planner) -> None:
    assert read(plan_of, "export", {})["audit"] == ["results/x/audit.json"]
    assert read(plan_of, "export", {"audit": None})["audit"] == []


def test_the_card_reads_the_audit_if_there_is_one(plan_of: Planner) -> None:
    assert read(plan_of, "export_card", {})["audit"] == ["results/x/audit.json"]
    assert read(plan_of, "export_card", {"audit": None})["audit"] == []


def test_without_fid_the_checkpoint_is_the_last(plan_of: Planner) -> None:
    found = read(plan_of, "checkpoint", {"fid": None, "checkpoint": {}})
    last = VALUES["experiments"]["digits"]["train"]["iterations"]
    assert found == {"fid": [], "pilot": [], "weights": [f"results/x/weights/{last}.safetensors"]}


def test_a_study_reads_the_main_runs_too(plan_of: Planner) -> None:
    change = {"study": {"images_per_class": [5], "resamplings": 1}}
    found = read(plan_of, "study", change)
    assert len(found["main"]) == 3 and len(found["runs"]) == 9
    assert read(plan_of, "study_run", change)["train"] == "results/x/distilled.safetensors"
    again = read(plan_of, "study_run", change, run="resampling-1-distilled")
    assert again["train"] == "results/x/resampling/1/distilled.safetensors"
    with pytest.raises(UserError, match=r"experiments.x.study is null"):
        read(plan_of, "study", {})


def test_counts_of_real_images_read_the_train_split(plan_of: Planner) -> None:
    assert "train" not in read(plan_of, "sample", {})
    assert read(plan_of, "sample", {"sample": {"counts": "real"}})["train"].endswith("train.safetensors")
