"""A report covers the files that its experiments have."""

import pytest

from diffdistill.errors import UserError
from diffdistill.planning import report
from tests.planning.conftest import Planner
from tests.planning.test_inputs import SAMPLES


def test_an_experiment_is_reported_by_the_files_it_has(plan_of: Planner) -> None:
    plan = plan_of(theirs={"dataset": "digits", **SAMPLES}, studied={"study": {"images_per_class": [5]}, "audit": None})
    ours, theirs, studied = (report.files_of(plan, name) for name in ("digits", "theirs", "studied"))
    assert ours.fid == "results/digits/fid.csv" and ours.loss and ours.account and ours.study is None
    assert theirs.real == "data/digits/train.safetensors" and theirs.accuracy and theirs.audit
    assert theirs.fid is None and theirs.loss is None
    assert studied.study == "results/studied/study.csv" and studied.audit is None and studied.audit_pairs is None


def test_a_report_names_its_experiments_and_reads_all_their_files(plan_of: Planner) -> None:
    plan = plan_of()
    settings = report.report(plan, "paper", "leaderboard.csv")
    assert list(settings.experiments) == ["cifar100", "tinyimagenet"] and settings.leaderboard == "leaderboard.csv"
    inputs = report.inputs(plan, "paper")
    assert "results/cifar100/fid.csv" in inputs and "data/tinyimagenet/train.safetensors" in inputs
    assert len(inputs) == len(set(inputs))
    with pytest.raises(UserError, match="no report 'papers'"):
        report.report(plan, "papers", "leaderboard.csv")
