"""Choices from what was found and measured: they fit the hours, whatever the machine."""

from collections import Counter
from pathlib import Path

import pytest

from diffdistill.commands import proposal
from diffdistill.commands.inspection import Inspection
from diffdistill.config import ModelBlock, UNetModel
from diffdistill.errors import UserError


def found(sizes: dict[tuple[int, int], int], each: int = 100, splits: tuple[str, ...] = ("train",)) -> Inspection:
    return Inspection(Path("set"), False, {split: {"a": each, "b": each} for split in splits}, Counter(sizes))


@pytest.mark.parametrize(
    ("sizes", "size"),
    [({(28, 28): 9}, 28), ({(30, 30): 9}, 28), ({(6, 6): 9}, 8), ({(500, 375): 9}, 64), ({(40, 50): 5, (9, 9): 4}, 32)],
)
def test_size(sizes: dict[tuple[int, int], int], size: int) -> None:
    assert proposal.shape(found(sizes)).size == size


def test_splits_are_cut_only_where_they_are_missing() -> None:
    where = proposal.shape(found({(8, 8): 1}))
    assert (where.validation_per_class, where.test_per_class, where.train_images) == (10, 20, 140)
    where = proposal.shape(found({(8, 8): 1}, splits=("train", "test", "validation")))
    assert (where.validation_per_class, where.test_per_class, where.train_images) == (None, None, 200)
    assert proposal.shape(found({(8, 8): 1}, each=5)).train_images == 6


def test_few_images_get_a_small_network_and_every_network_fits_its_side() -> None:
    assert [len(proposal.ladder(32, images)) for images in (100, 5_000, 50_000)] == [2, 3, 6]
    for size in (8, 28, 32, 36, 64):
        patches = [getattr(model, "patch_size", 1) for model in proposal.ladder(size, 10**6)]
        assert all(size % patch == 0 and size // patch <= 16 for patch in patches[3:])


def test_attention_is_on_a_small_side() -> None:
    for size, levels in ((8, 2), (16, 2), (28, 2), (32, 2), (36, 2), (64, 2)):
        unet = proposal.ladder(size, 100)[0]
        assert isinstance(unet, UNetModel) and len(unet.multipliers) == levels
        assert (unet.patch_size, unet.channels) == ((1, 16) if size < 28 else (4, 32))


def test_pictures_are_made_smaller_for_few_hours() -> None:
    where = proposal.Shape(64, 3, 2, 1, 1, 100)
    for seconds, size in ((1e9, 64), (64**2 * 5_000, 64), (32**2 * 5_000, 32), (1, 16)):
        assert proposal.affordable(where, lambda some: some.size**2, seconds).size == size
    assert proposal.affordable(proposal.Shape(8, 1, 2, 1, 1, 9), lambda some: 1e9, 1).size == 8


def test_the_largest_network_that_trains_long_enough_is_taken() -> None:
    rungs = proposal.ladder(32, 10**6)
    cost = {id(model): 2.0**rung for rung, model in enumerate(rungs)}
    measured: list[int] = []

    def step(model: ModelBlock) -> float:
        measured.append(rungs.index(model))
        return cost[id(model)]

    seconds = 4 * proposal.WANTED_ITERATIONS["unet"]
    assert proposal.climb(rungs, lambda model: cost[id(model)], step, seconds) == (rungs[2], 4.0)
    assert measured == [0, 1, 2, 3]
    assert proposal.climb(rungs, lambda model: cost[id(model)], step, 1)[0] is rungs[0]
    assert measured[4:] == [0]  # what cannot fit is not measured
    seconds = 8 * proposal.WANTED_ITERATIONS["uvit"]
    assert proposal.climb(rungs, lambda model: cost[id(model)], step, seconds)[0] is rungs[3]
    assert proposal.climb(rungs, lambda model: cost[id(model)], step, seconds - 1)[0] is rungs[2]


@pytest.mark.parametrize("hours", [0.3, 2, 48])
@pytest.mark.parametrize("step", [0.005, 0.05])
@pytest.mark.parametrize("compile", [False, True])
def test_a_plan_fits_the_hours_and_the_config(hours: float, step: float, compile: bool) -> None:
    where = proposal.Shape(32, 3, 10, 50, 100, 50_000)
    plan = proposal.plan(
        where, hours=hours, budget=100, batch_size=128, step=step, compile=compile, convnet_step=step / 2,
        protocol=proposal.protocol(where, False, True), pictures=60_000, picture_seconds=1e-4,
    )  # fmt: skip
    assert plan.costs.total <= 3600 * hours * 1.02 and plan.compile is compile
    assert plan.iterations == proposal.MEASUREMENTS * plan.every and plan.slice_iterations % plan.every == 0
    assert plan.slice_iterations * step <= max(proposal.SLICE_SECONDS, plan.every * step)


def test_too_few_hours_are_refused_with_a_number_that_is_enough() -> None:
    with pytest.raises(UserError, match=r"--budget 600 seconds is more than half of --hours 0\.1"):
        proposal.training_seconds(0.1, 600)
    where = proposal.Shape(8, 1, 2, 1, 1, 50)

    def plan(hours: float) -> proposal.Plan:
        return proposal.plan(
            where, hours=hours, budget=20, batch_size=64, step=1.0, compile=False, convnet_step=0.1,
            protocol=proposal.protocol(where, False, False), pictures=60, picture_seconds=1e-3,
        )  # fmt: skip

    with pytest.raises(UserError, match="give at least ") as error:
        plan(0.05)
    assert plan(float(str(error.value).split("at least ")[-1].split()[0]) * 1.05).iterations >= 80
