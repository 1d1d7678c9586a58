"""Small measurements share a job."""

from diffdistill.planning import measurements
from tests.planning.conftest import Planner


def test_small_ones_of_a_slice_share_a_job(plan_of: Planner) -> None:
    one = plan_of(x={"train": {"ema_decays": [0.99, 0.9]}}).config.experiments["x"]
    found = {name: [ema.name for ema in emas] for name, emas in measurements.jobs(one).items()}
    assert found == {
        "2000-ema1": ["1000", "1000-ema1", "2000", "2000-ema1"],
        "4000-ema1": ["3000", "3000-ema1", "4000", "4000-ema1"],
    }


def test_many_small_ones_have_a_job_each(plan_of: Planner) -> None:
    one = plan_of(x={"fid": {"every": 10}}).config.experiments["x"]
    assert len(measurements.jobs(one)) == 400


def test_large_ones_have_a_job_each(plan_of: Planner) -> None:
    one = plan_of(x={"fid": {"images": 50_000}}).config.experiments["x"]
    assert list(measurements.jobs(one)) == ["1000", "2000", "3000", "4000"]


def test_without_fid_there_is_none(plan_of: Planner) -> None:
    assert measurements.jobs(plan_of(x={"fid": None, "checkpoint": {}}).config.experiments["x"]) == {}
