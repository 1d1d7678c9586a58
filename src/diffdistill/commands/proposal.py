"""From what lies in a folder and what a step takes to an experiment that fits the hours: pure, nothing is measured."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from diffdistill.commands.inspection import Inspection
from diffdistill.config import ModelBlock, parse_model
from diffdistill.errors import UserError

LARGEST_SIDE, SIDES = 64, (8, 16, 32, 64)
"""Sides in pixels that are proposed. Squares of one size up to the largest keep theirs, down to a multiple of 4."""
LADDER: tuple[dict[str, Any], ...] = (
    {"kind": "unet", "channels": 16, "blocks": 1, "num_heads": 2, "prediction": "v"},
    {"kind": "unet", "channels": 32, "blocks": 1, "num_heads": 4, "prediction": "v"},
    {"kind": "unet", "channels": 64, "blocks": 2, "num_heads": 4, "prediction": "v"},
    {"kind": "uvit", "embed_dim": 384, "depth": 8, "num_heads": 6, "prediction": "v", "conditioning": "adaptive"},
    {"kind": "uvit", "embed_dim": 512, "depth": 12, "num_heads": 8, "prediction": "v", "conditioning": "adaptive"},
    {"kind": "uvit", "embed_dim": 768, "depth": 16, "num_heads": 12, "prediction": "v", "conditioning": "adaptive"},
)
"""Networks from small to large; docs/own-data.md has them as a table. How they are conditioned and what they predict:
benchmarks/NETWORKS.md."""
OPTIMISERS: Mapping[str, Literal["adamw", "muon"]] = {"unet": "adamw", "uvit": "muon"}
"""By kind of network, from random weights."""
PATCHES_FROM, UNET_PATCH_SIZE = 28, 4
"""Image side from which a U-Net works on patches, and the patch size."""
MOST_RUNGS = ((2_000, 2), (10_000, 3))
"""Fewer train images than the first number take one of the first so many networks: a larger one learns by heart."""
WANTED_ITERATIONS: Mapping[str, int] = {"unet": 5_000, "uvit": 20_000}
"""A larger network is taken only if the hours give so many iterations of it.

After ten minutes on Fashion-MNIST, U-Nets of 32 and of 64 channels teach about as much. The larger has then seen as
many images as in 2,600 iterations of 128: benchmarks/NETWORKS.md. For U-ViTs this was not measured.
"""
ENOUGH_ITERATIONS, SMALLEST_LOWERED = 5_000, 16
"""Pictures are made smaller, down to such a side, until the hours give so many iterations of the smallest network."""
FEWEST_ITERATIONS, MOST_ITERATIONS = 80, 200_000
MEASUREMENTS = 8
"""Of FID, spread evenly over the training."""
SLICE_SECONDS = 4 * 3600
COMPILED_FROM_SECONDS, COMPILING_SECONDS, COMPILED_GAIN = 1800.0, 120.0, 1.1
"""On a CPU: seconds of a U-Net's training from which compiling it pays, seconds of compiling, and the least speed-up.

`python -m benchmarks.ratios training` measures the speed-up.
"""
SHARES = {"train": 0.65, "fid": 0.05, "convnets": 0.25, "audit": 0.05}
"""Of the hours without the budget and the start of the programs."""
CONVNETS = 10
"""Trainings of a ConvNet: real, distilled and real-random with three seeds each, and the classifier."""
JOB_SECONDS, JOBS = 4.0, 48
"""What the start of a program takes, and how many jobs an experiment has."""
PROTOCOL_STEPS = ((2_000, 1_000), (20_000, 3_000), (math.inf, 10_000))
"""Steps of a ConvNet by the number of train images that is not reached."""
FEWEST_STEPS = 20
LEAST_BUDGET = 15.0
"""Seconds for sampling; loading and warming up take a few of them."""
NFE = 8
"""Of the measurements and the samples: dpmsolver++ of order 2."""
MIRROR_LIMIT = 1.1
"""Pictures are mirrored if that takes them at most so many times farther from others of their class."""


@dataclass(frozen=True)
class Shape:
    """What the pictures decide."""

    size: int
    channels: int
    classes: int
    validation_per_class: int | None
    test_per_class: int | None
    train_images: int

    @property
    def image(self) -> tuple[int, int, int]:
        """(C, H, W)"""
        return self.channels, self.size, self.size


@dataclass(frozen=True)
class Costs:
    """Seconds that each part of the experiment takes."""

    prepare: float
    train: float
    fid: float
    sample: float
    convnets: float
    audit: float
    starts: float

    @property
    def total(self) -> float:
        return float(sum(vars(self).values()))


@dataclass(frozen=True)
class Plan:
    """The numbers of an experiment."""

    batch_size: int
    every: int
    slice_iterations: int
    iterations: int
    compile: bool
    fid_images: int
    protocol: Mapping[str, Any]
    audit_members: int
    costs: Costs


def shape(found: Inspection) -> Shape:
    """Size, channels and splits for the pictures that were found."""
    fewest = min(found.train.values())
    cut_test, cut_validation = "test" not in found.classes, "validation" not in found.classes
    test = max(1, min(100, fewest // 5)) if cut_test else None
    validation = max(1, min(50, fewest // 10)) if cut_validation else None
    images = sum(found.train.values()) - len(found.train) * ((test or 0) + (validation or 0))
    return Shape(_size(found), found.channels, len(found.train), validation, test, images)


def _size(found: Inspection) -> int:
    sides = sorted(side for size, count in found.sizes.items() for side in [min(size)] * count)
    median = sides[len(sides) // 2]
    if len(found.sizes) == 1 and (median, median) in found.sizes and SIDES[0] <= median <= LARGEST_SIDE:
        return median - median % 4
    return max((side for side in SIDES if side <= median), default=SIDES[0])


def ladder(size: int, train_images: int) -> list[ModelBlock]:
    """Networks that suit so many images of this side, from small to large."""
    rungs = next((rungs for images, rungs in MOST_RUNGS if train_images < images), len(LADDER))
    patch = 2 if size <= 32 else 4  # at most 16 x 16 tokens, as in the paper
    return [
        parse_model({**one, "patch_size": patch} if one["kind"] == "uvit" else _unet(one, size))
        for one in LADDER[:rungs]
    ]


def _unet(rung: Mapping[str, Any], size: int) -> dict[str, Any]:
    """Levels go down to a side of 8, because attention at the lowest takes most at large sides.

    Larger images are cut into patches, and all levels have twice the channels: benchmarks/NETWORKS.md.
    """
    patch_size = UNET_PATCH_SIZE if size >= PATCHES_FROM else 1
    side, levels = size // patch_size, 1  # levels below the first
    while side % 2 ** (levels + 1) == 0 and side >> levels > 8:
        levels += 1
    if patch_size == 1:
        return {**rung, "multipliers": [1] + [2] * levels}
    return {**rung, "patch_size": patch_size, "channels": 2 * rung["channels"], "multipliers": [1] * (levels + 1)}


def affordable(where: Shape, step: Callable[[Shape], float], seconds: float) -> Shape:
    """The same with the largest size at which `seconds` give enough iterations of the smallest network.

    step: measures it. Sizes are not lowered below SMALLEST_LOWERED.
    """
    lower = [side for side in reversed(SIDES) if SMALLEST_LOWERED <= side < where.size]
    for side in lower:
        if seconds / step(where) >= ENOUGH_ITERATIONS:
            break
        where = replace(where, size=side)
    return where


def climb(
    rungs: list[ModelBlock], operations: Callable[[ModelBlock], float], step: Callable[[ModelBlock], float],
    seconds: float,
) -> tuple[ModelBlock, float]:  # fmt: skip
    """The largest network of which `seconds` give the wanted iterations, and the seconds of its step.

    step: measures one. A network is not measured if by its operations it would miss them by a factor of ten.
    """
    model = rungs[0]
    taken = step(model)
    for larger in rungs[1:]:
        projected, wanted = taken * operations(larger) / operations(model), WANTED_ITERATIONS[larger.kind]
        if seconds / projected < wanted / 10:
            break
        measured = step(larger)
        if seconds / measured < wanted:
            break
        model, taken = larger, measured
    return model, taken


def training_seconds(hours: float, budget: float) -> float:
    """What is left of the hours for training. Raises UserError if the budget is too small, or too large for them."""
    if budget < LEAST_BUDGET:
        raise UserError(
            f"--budget {budget:g}: loading and warming up take seconds of it; give at least {LEAST_BUDGET:g}"
        )
    left = 3600 * hours - budget - JOB_SECONDS * JOBS
    if budget > 1800 * hours:
        raise UserError(
            f"--budget {budget:g} seconds is more than half of --hours {hours:g}; lower the one or raise the other"
        )
    return SHARES["train"] * max(left, 0.25 * (3600 * hours - budget))


def pays_to_compile(model: ModelBlock, seconds: float) -> bool:
    """Whether so many seconds of training on a CPU are worth compiling it."""
    return model.kind == "unet" and seconds >= COMPILED_FROM_SECONDS


def protocol(where: Shape, accelerated: bool, flip: bool) -> dict[str, Any]:
    """How ConvNets are trained on so many images, before the hours shorten it."""
    small = where.train_images < 2_000
    return {
        "steps": next(steps for images, steps in PROTOCOL_STEPS if where.train_images < images),
        "batch_size": 64 if small else 128,
        "learning_rate": 0.03,
        "schedule": "onecycle",
        "width": 128 if accelerated else 64,
        "augment": "crop_flip_scale_rotate" if flip else "crop_scale_rotate",
        "augment_mode": "each",
    }


def plan(
    where: Shape, *, hours: float, budget: float, batch_size: int, step: float, compile: bool, convnet_step: float,
    protocol: Mapping[str, Any], pictures: int, picture_seconds: float,
) -> Plan:  # fmt: skip
    """Numbers that fit the hours.

    step, convnet_step: seconds of one step, not compiled. compile: whether training is. picture_seconds: of reading
    one picture. Raises UserError if the hours give too few iterations of the network.
    """
    seconds, compiling = training_seconds(hours, budget), COMPILING_SECONDS if compile else 0.0
    trained = step / COMPILED_GAIN if compile else step
    possible = int((seconds - compiling) / trained)
    if possible < FEWEST_ITERATIONS:
        # the share of training and the budget grow with the hours; half of them may be the budget's
        needed = (FEWEST_ITERATIONS * step / (0.25 * SHARES["train"]) + budget) / 3600
        raise UserError(
            f"--hours {hours:g} are {possible} training iterations of the smallest network here, at least "
            f"{FEWEST_ITERATIONS} are needed; give at least {max(needed, budget / 1800):.2g} hours"
        )
    every = _rounded(min(possible, MOST_ITERATIONS) // MEASUREMENTS)
    of_slice = max(1, min(MEASUREMENTS, int(SLICE_SECONDS / (every * trained))))
    whole = seconds / SHARES["train"]
    evaluation = step / 3 / batch_size  # a step is a pass forward and two back
    images = int(SHARES["fid"] * whole / (MEASUREMENTS * NFE * evaluation))
    images = _rounded(min(max(images, 100), 10_000))
    share = SHARES["convnets"] * whole / CONVNETS
    steps = max(FEWEST_STEPS, min(int(protocol["steps"]), _rounded(int(share / convnet_step))))
    members = _rounded(min(max(int(SHARES["audit"] * whole / (2 * 4 * 4 * evaluation)), 20), 2_000))
    costs = Costs(
        prepare=pictures * picture_seconds,
        train=MEASUREMENTS * every * trained + compiling,
        fid=MEASUREMENTS * images * NFE * evaluation,
        sample=budget,
        convnets=CONVNETS * steps * convnet_step,
        audit=2 * members * 4 * 4 * evaluation,
        starts=JOB_SECONDS * JOBS,
    )
    return Plan(
        batch_size, every, of_slice * every, MEASUREMENTS * every, compile, images, {**protocol, "steps": steps},
        members, costs,
    )  # fmt: skip


def _rounded(number: int) -> int:
    """Down to two significant digits; at least 1."""
    if number < 100:
        return max(1, number)
    unit = int(10 ** (len(str(number)) - 2))
    return number // unit * unit
