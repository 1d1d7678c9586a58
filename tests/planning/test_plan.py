"""Experiments with the same data set and protocol share the classifier, the FID reference and the real baselines."""

from typing import Any

import pytest

from diffdistill.errors import UserError
from tests.planning.conftest import VALUES, Planner, wildcards

PROTOCOL = VALUES["experiments"]["digits"]["evaluate"]["protocol"]
OTHER = {**PROTOCOL, "width": 32}


@pytest.mark.parametrize(
    ("change", "classifier", "reference", "real"),
    [
        ({"train": {"iterations": 3000}}, True, True, True),
        ({"fid": {"images": 500}, "sample": {"budget_seconds": 40}}, True, True, True),
        ({"classifier": {"protocol": PROTOCOL}}, True, True, True),  # the same, written out
        ({"classifier": {"seed": 5}}, False, False, True),
        ({"evaluate": {"protocol": {**PROTOCOL, "width": 32}}}, False, False, False),
        (
            {"evaluate": {"protocol": {**PROTOCOL, "width": 32}}, "classifier": {"protocol": PROTOCOL}},
            True,
            True,
            False,
        ),
        ({"fid": {"features": "inception"}}, True, False, True),
        ({"evaluate": {"seeds": [0]}}, True, True, True),
    ],
)
def test_what_is_shared(
    plan_of: Planner, change: dict[str, Any], classifier: bool, reference: bool, real: bool
) -> None:
    plan = plan_of(other={"dataset": "digits", **change})
    assert (plan.classifier("digits") == plan.classifier("other")) == classifier
    assert (plan.reference("digits") == plan.reference("other")) == reference
    assert (plan.real_run("digits", 0) == plan.real_run("other", 0)) == real


def test_another_data_set_shares_nothing(plan_of: Planner) -> None:
    plan = plan_of(other={})
    for path in (plan.classifier("other"), plan.reference("other"), plan.real_run("other", 0)):
        assert path.startswith("data/other/")
    assert plan.classifier("digits").removeprefix("data/digits") == plan.classifier("other").removeprefix("data/other")


def test_keys_lead_back_to_what_they_stand_for(plan_of: Planner) -> None:
    plan = plan_of(other={"dataset": "digits", "classifier": {"seed": 5}})
    key = plan.classifier("other").rsplit("/", 1)[1].removesuffix(".safetensors")
    assert plan.classifier_of("digits", key).classifier.seed == 5
    key = plan.reference("other").rsplit("/", 1)[1].removesuffix(".safetensors")
    assert plan.reference_of("digits", key)[0] == "other"
    key = plan.real_run("digits", 3).rsplit("/", 1)[1].removesuffix(".3.json")
    assert plan.protocol_of("digits", key) == plan.experiment(wildcards(experiment="digits")).evaluate.protocol
    for unknown in (plan.classifier_of, plan.reference_of, plan.protocol_of):
        with pytest.raises(UserError, match=r"no experiment in config.yaml"):
            unknown("digits", "00000000")


def test_unknown_names_are_refused_with_the_known_ones(plan_of: Planner) -> None:
    with pytest.raises(UserError, match=r"no data set 'digit' in config.yaml; known: cifar100, digits"):
        plan_of().source("digit")
    with pytest.raises(UserError, match=r"no experiment 'digit'.*did you mean 'digits'"):
        plan_of().experiment(wildcards(experiment="digit"))


def test_a_shared_job_gets_the_most_threads(plan_of: Planner) -> None:
    assert plan_of(other={"dataset": "digits", "threads": 3}).threads("digits") == 3


def test_without_fid_there_is_no_reference(plan_of: Planner) -> None:
    with pytest.raises(UserError, match="fid is null"):
        plan_of(other={"fid": None, "checkpoint": {}}).reference("other")
