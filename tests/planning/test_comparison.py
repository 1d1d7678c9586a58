"""A comparison plans what its sets need, and refuses what cannot be compared before anything runs."""

import copy
from typing import Any

import pytest

from diffdistill import config
from diffdistill.errors import UserError
from diffdistill.planning import comparison, fitting, inputs, settings
from diffdistill.planning.plan import Plan
from tests.planning.conftest import VALUES, Planner, wildcards
from tests.planning.test_inputs import SAMPLES


def compared(plan: Plan, *members: str) -> Plan:
    return Plan(plan.config.changed(comparisons={"mine": members}))


def test_real_images_follow_the_first_experiment(plan_of: Planner) -> None:
    plan = compared(
        plan_of(theirs={"dataset": "digits", **SAMPLES}), "real_5_per_class", "theirs", "digits", "real"
    )  # fmt: skip
    planned = comparison.comparison(plan, "mine").sets
    assert list(planned) == ["real_5_per_class", "theirs", "digits", "real"]
    assert planned["real_5_per_class"].runs[0] == plan.real_subset_run("theirs", 5, 0)
    assert planned["real"].runs == planned["real"].real_runs == planned["digits"].real_runs
    files = comparison.inputs(plan, "mine")
    assert "results/digits/measured.json" in files and "results/digits/loss.csv" in files
    assert not [path for path in files if "baselines" in path or "study" in path]


def test_random_real_images_are_trained_on_by_the_protocol(plan_of: Planner) -> None:
    plan = plan_of()
    key = plan.real_subset_run("digits", 5, 3).rsplit("/", 1)[1].split(".")[0]
    run = settings.SETTINGS["real_subset_run"](
        plan, wildcards(dataset="digits", key=key, per_class="5", seed="3")
    ).model_dump()  # fmt: skip
    assert (run["train_set"], run["per_class"], run["seed"]) == ("real-random", 5, 3)


def test_more_real_images_than_a_class_has_are_refused(plan_of: Planner) -> None:
    fitting.refuse_what_the_data_do_not_have(compared(plan_of(), "digits", "real_124_per_class"))
    with pytest.raises(UserError, match=r"comparisons.mine.real_N_per_class 125: a class has 124 train images; lower"):
        fitting.refuse_what_the_data_do_not_have(compared(plan_of(), "real_125_per_class", "digits", "cifar100"))
    # of the first experiment's data set
    fitting.refuse_what_the_data_do_not_have(compared(plan_of(), "real_125_per_class", "cifar100", "digits"))


def test_a_users_own_data_are_checked_once_they_are_prepared(plan_of: Planner) -> None:
    plan = compared(plan_of(own={"source": {"kind": "folder", "path": "pictures"}}), "own", "real_9_per_class")
    asked = [limit for limit in fitting.limits(plan, "own") if limit.key.startswith("comparisons")]
    assert [(limit.key, limit.value) for limit in asked] == [("comparisons.mine.real_N_per_class", 9)]
    assert not [limit for limit in fitting.limits(plan, "digits") if limit.key.startswith("comparisons")]


def test_a_finished_set_is_measured_by_the_networks_of_a_trained_one(plan_of: Planner) -> None:
    plan = plan_of(theirs={"dataset": "digits", **SAMPLES})
    ours, theirs = (comparison.measure(plan, wildcards(experiment=name)) for name in ("digits", "theirs"))
    assert {**ours, "distilled": ""} == {**theirs, "distilled": ""}
    key = str(theirs["reference"]).rsplit("/", 1)[1].removesuffix(".safetensors")
    reference = wildcards(dataset="digits", key=key)
    assert inputs.fid_reference(plan, reference)["classifier"] == theirs["classifier"]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (["digits"], "at least 2"),
        (["digits", "digits"], "stands twice"),
        (["digits", "real_0_per_class"], "no experiment 'real_0_per_class'"),
        (["real", "real_5_per_class"], "only real images"),
    ],
)
def test_what_is_no_comparison_is_refused(members: list[str], message: str) -> None:
    values: dict[str, Any] = copy.deepcopy(VALUES) | {"comparisons": {"mine": members}}
    with pytest.raises(UserError, match=message):
        config.parse(values)


def test_sets_of_which_no_two_compare_are_refused(plan_of: Planner) -> None:
    with pytest.raises(UserError, match=r"comparisons.mine: no two of digits, cifar100"):
        comparison.comparison(compared(plan_of(), "digits", "cifar100"), "mine")
    with pytest.raises(UserError, match="no comparison 'other'"):
        comparison.inputs(compared(plan_of(), "digits", "real"), "other")


def test_the_name_of_the_folder_is_reserved(plan_of: Planner) -> None:
    with pytest.raises(UserError, match="'comparisons' is a name"):
        plan_of(comparisons={"dataset": "digits"})
