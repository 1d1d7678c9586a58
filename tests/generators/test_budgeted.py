"""Any generator fills a budget without exceeding it, and every second of the account adds up."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from diffdistill.data import image_files
from diffdistill.errors import UserError
from diffdistill.generators import budgeted
from diffdistill.runtime.budget import Budget

METADATA = {"classes": json.dumps(["a", "b", "c"])}


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Foreign:
    """A generator of another kind: image i is full of i mod 256; its clock says how long it takes."""

    num_classes, image_shape = 3, (1, 4, 4)

    def __init__(self, clock: Clock, seconds_per_image: float = 0.01, held_up: int | None = None) -> None:
        """held_up: the call that takes 15 s longer, as in a job that was suspended."""
        self.clock, self.seconds_per_image, self.held_up = clock, seconds_per_image, held_up
        self.calls = 0

    def generate(self, first: int, labels: Tensor) -> Tensor:
        self.calls += 1
        if self.calls == self.held_up:
            time.sleep(0.1)  # the batch before is written meanwhile
        self.clock.now += 0.01 + self.seconds_per_image * len(labels) + 15 * (self.calls == self.held_up)
        numbers = torch.arange(first, first + len(labels)) % 256
        return numbers.to(torch.uint8)[:, None, None, None].expand(-1, 1, 4, 4)

    def describe(self, images: int) -> dict[str, Any]:
        return {"kind": "foreign"}


def run(tmp_path: Path, seconds: float, **changed: Any) -> tuple[image_files.ImageSet, budgeted.Account]:
    clock = Clock()
    budget = Budget(seconds, clock)
    with budget.phase("load"):
        clock.now += 1.0
    settings = {"batch_size": 16} | {
        key: value for key, value in changed.items() if key in ("images", "batch_size", "fixed", "counts")
    }
    generator = Foreign(clock, **{key: value for key, value in changed.items() if key not in settings})
    path = str(tmp_path / "samples.safetensors")
    account = budgeted.sample_within(generator, path, METADATA, budget=budget, **settings)
    return image_files.load(Path(path)), account


def test_a_budget_is_used_and_not_exceeded(tmp_path: Path) -> None:
    samples, account = run(tmp_path, 20.0)
    assert 0.97 * 20 <= account.used_seconds <= 20
    assert account.images == len(samples.labels) > 1000 and account.images_discarded_late <= 16
    assert torch.equal(samples.images[:, 0, 0, 0], (torch.arange(account.images) % 256).to(torch.uint8))
    assert torch.equal(samples.labels, torch.arange(account.images) % 3)
    assert sum(account.seconds.values()) == pytest.approx(account.used_seconds, abs=1e-6)
    assert account.seconds["load"] == 1 and account.start_share == pytest.approx(1.02 / account.used_seconds, abs=1e-4)


def test_a_number_is_reached_without_a_budget(tmp_path: Path) -> None:
    samples, account = run(tmp_path, float("inf"), images=50)
    assert len(samples.labels) == account.images == 50 and account.budget_seconds is None
    with pytest.raises(ValueError, match="a number of images or a budget"):
        run(tmp_path, float("inf"))


def test_one_batch_size_alone(tmp_path: Path) -> None:
    _, account = run(tmp_path, float("inf"), images=50, batch_size=20, fixed=True)
    assert account.batch_size == 20


@pytest.mark.parametrize("held_up", [3, 6, 20])
def test_a_job_that_was_suspended_keeps_what_was_in_time(tmp_path: Path, held_up: int) -> None:
    samples, account = run(tmp_path, 10.0, held_up=held_up)
    assert account.images == len(samples.labels) > 0 and account.images_discarded_late > 0
    assert account.used_seconds <= 10 and account.seconds_late > 14
    assert sum(account.seconds.values()) == pytest.approx(account.used_seconds, abs=1e-6)
    assert min(account.seconds.values()) >= 0


def test_a_budget_too_short_for_one_image(tmp_path: Path) -> None:
    with pytest.raises(
        budgeted.BudgetError, match=r"a budget of 1\.05 s does not suffice for a single image: 1\.0 s went"
    ):
        run(tmp_path, 1.05)
    assert not list(tmp_path.iterdir())


def test_a_failure_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Foreign, first: int, labels: Tensor) -> Tensor:
        if first:
            raise RuntimeError("broken")
        return torch.zeros(len(labels), 1, 4, 4, dtype=torch.uint8)

    monkeypatch.setattr(Foreign, "generate", fail)
    with pytest.raises(RuntimeError, match="broken"):
        run(tmp_path, float("inf"), images=50)
    assert not list(tmp_path.iterdir())


def test_labels_follow_the_counts_at_any_batch_size(tmp_path: Path) -> None:
    sets = [run(tmp_path, float("inf"), images=20, batch_size=size, fixed=True, counts=(1, 0, 3))[0] for size in (3, 7)]
    assert torch.equal(sets[0].labels, sets[1].labels) and torch.equal(sets[0].images, sets[1].images)
    assert sets[0].labels.bincount().tolist() == [5, 0, 15] and sets[0].labels[:4].bincount().tolist() == [1, 0, 3]


def test_what_counts_mean() -> None:
    classes, labels = ["a", "b", "7"], torch.tensor([0, 0, 2])
    assert budgeted.class_counts("balanced", classes, None) == [1, 1, 1]
    assert budgeted.class_counts("real", classes, labels) == [2, 0, 1]
    assert budgeted.class_counts({"7": 9, "a": 1}, classes, None) == [1, 0, 9]
    with pytest.raises(UserError, match="no class 'c'; known: a, b, 7"):
        budgeted.class_counts({"c": 1}, classes, None)
