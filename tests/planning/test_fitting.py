"""A dry run compares settings with what is known of the data, and with nothing else."""

from pathlib import Path

import pytest

from diffdistill.config import checks
from diffdistill.data import identity
from diffdistill.errors import UserError
from diffdistill.planning import fitting, sources
from diffdistill.planning.plan import Plan
from tests.data.pictures import put
from tests.planning.conftest import Planner

CIFAR10 = checks.Facts(classes=10, fewest=4500, images=45_000, height=32, width=32)


def cifar(plan_of: Planner, path: str) -> Plan:
    """An experiment that needs 1000 real images of each class, and cuts 500."""
    source = {"kind": "cifar100", "path": path, "validation_per_class": 500, "test_per_class": None}
    return plan_of(
        ten={
            "source": source,
            "study": {"images_per_class": [1000]},
            "sample": {"images": 10_000, "budget_seconds": None},
        }
    )


def prepared(plan: Plan, dataset: str, facts: checks.Facts) -> None:
    """What `prepare` leaves of a data set."""
    for split in sources.SPLITS:
        put(Path(f"data/{dataset}"), f"{split}.safetensors")
    content = sources.state(plan, dataset).content.model_dump(mode="json")
    record = identity.Record(**content, digests={}, facts=facts.model_dump(mode="json"))
    identity.write(f"data/{dataset}/source.json", record)


def test_cifar10_is_not_held_against_what_cifar100_has(
    plan_of: Planner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fitting.refuse_what_the_data_do_not_have(cifar(plan_of, "cifar-10-python.tar.gz"))
    with pytest.raises(UserError, match="validation_per_class 500 leave no train images of the smallest class"):
        fitting.refuse_what_the_data_do_not_have(cifar(plan_of, "cifar-100-python.tar.gz"))


def test_what_was_found_in_the_data_wins_over_what_was_published(
    plan_of: Planner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    put(tmp_path, "cifar-100-of-mine.tar.gz")
    plan = cifar(plan_of, "cifar-100-of-mine.tar.gz")
    with pytest.raises(UserError, match="500"):
        fitting.refuse_what_the_data_do_not_have(plan)
    prepared(plan, "ten", CIFAR10)
    fitting.refuse_what_the_data_do_not_have(plan)


def test_counts_by_name_say_which_classes_have_no_image(plan_of: Planner) -> None:
    sample = {"images": 5, "budget_seconds": None, "counts": {"0": 3, "1": 2}}
    fewer = {"method": "random", "images": 4}
    fitting.refuse_what_the_data_do_not_have(
        plan_of(few={"dataset": "digits", "sample": sample, "select": fewer, "study": None})
    )
