"""Training steps: the U-ViT against a plain loop; those that init proposes against torch's attention, and compiled.

The plain loop is eager float32 with torch's default AdamW and a Python loop for the EMA.
"""

import copy
from collections.abc import Iterator
from unittest.mock import patch

import torch

from benchmarks.measuring import CPU, PAIRS, Row, times_faster
from benchmarks.models import DIGITS, TINY_UVIT, UVIT_S, Case, as_published
from diffdistill.commands import proposal
from diffdistill.config import Recipe
from diffdistill.diffusion import training
from diffdistill.diffusion.loss import denoising_loss
from diffdistill.diffusion.networks import attention
from diffdistill.diffusion.training import Execution
from diffdistill.runtime import devices

NAMES = {"unet": "U-Net", "uvit": "U-ViT"}
RECIPE = Recipe(iterations=10**6, batch_size=128, betas=(0.99, 0.999), flip=False, log_every=10**6)


def faster(case: Case, batch_size: int, steps: int, execution: Execution, pairs: int = PAIRS) -> list[float]:
    recipe = RECIPE.changed(batch_size=batch_size)
    x, y = case.data(4 * batch_size)
    state = training.State.start(case.build(), recipe)
    denoiser = as_published(state.denoiser)
    network, schedule = denoiser.network, denoiser.schedule
    optimiser = torch.optim.AdamW(network.parameters(), recipe.learning_rate, recipe.betas, weight_decay=0.03)
    ema, random = copy.deepcopy(network), torch.Generator().manual_seed(0)

    def reference() -> None:
        for _ in range(steps):
            chosen = torch.randint(len(x), (batch_size,), generator=random)
            noise, t = torch.randn(x[chosen].shape, generator=random), torch.rand(batch_size, generator=random)
            loss = denoising_loss(network, schedule, x[chosen], t, noise, y[chosen]).mean()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            with torch.no_grad():
                for old, new in zip(ema.parameters(), network.parameters(), strict=True):
                    old.copy_(0.9999 * old + 0.0001 * new)

    def ours() -> None:
        training.train(state, x, y, recipe, until=state.iteration + steps, execution=execution)

    return times_faster(reference, ours, pairs)


def faster_by_attention(case: Case, batch_size: int, steps: int, pairs: int = PAIRS) -> list[float]:
    """Steps in bfloat16; the reference computes attention by torch's fused kernel, however many tokens there are."""
    x, y = case.data(4 * batch_size)
    recipe, execution = RECIPE.changed(batch_size=batch_size), Execution(precision=torch.bfloat16)
    state = training.State.start(case.build(), recipe)

    def ours() -> None:
        training.train(state, x, y, recipe, until=state.iteration + steps, execution=execution)

    def reference() -> None:
        with patch.object(attention, "TOKENS_WITH_GRADIENTS", 0):
            ours()

    return times_faster(reference, ours, pairs)


def faster_by_compiling(
    case: Case, batch_size: int, steps: int, precision: torch.dtype, pairs: int = PAIRS
) -> list[float]:
    """Steps after the compilation; the reference is eager."""
    x, y = case.data(4 * batch_size)
    recipe = RECIPE.changed(batch_size=batch_size)
    states = [training.State.start(case.build(), recipe) for _ in range(2)]

    def work(compile: bool) -> None:
        state = states[compile]
        execution = Execution(precision=precision, compile=compile)
        training.train(state, x, y, recipe, until=state.iteration + steps, execution=execution)

    return times_faster(lambda: work(False), lambda: work(True), pairs)


def rows(toy: bool = False) -> Iterator[Row]:
    plain = "eager float32, torch's default AdamW, a loop for the EMA"
    precision = devices.precision("auto", CPU)
    exact, auto = Execution(), Execution(precision=precision)
    if toy:
        yield Row("training step: tiny U-ViT", plain, None, faster(TINY_UVIT, 8, 1, auto, pairs=1))
        return
    small, large = "training step: U-ViT, width 128, depth 4, batch 128", "training step: U-ViT-S, 32x32, batch 4"
    which = f"`precision: auto`, here {str(precision).removeprefix('torch.')}"
    yield Row(f"{small}, {which}", plain, 1.3, faster(DIGITS, 128, 5, auto))
    yield Row(f"{large}, {which}", plain, 1.3, faster(UVIT_S, 4, 1, auto))
    yield Row(f"{small}, float32", plain, None, faster(DIGITS, 128, 5, exact))
    yield Row(f"{small}, float32, compiled", plain, None, faster(DIGITS, 128, 5, Execution(compile=True)))
    for side, rung, batch_size in ((16, 0, 64), (32, 1, 64), (64, 0, 32), (32, 3, 8)):
        model = proposal.ladder(side, train_images=10**6)[rung]
        case, claim = Case(model, (3, side, side), 10), f"{NAMES[model.kind]} that init proposes, {side}x{side}"
        if precision == torch.bfloat16:
            ratios = faster_by_attention(case, batch_size, 2)
            yield Row(f"training step: {claim}, bfloat16", "the same with torch's fused attention", None, ratios)
        name = str(precision).removeprefix("torch.")
        ratios = faster_by_compiling(case, batch_size, 2, precision)
        yield Row(f"compiled training step: {claim}, {name}", "the same eager", None, ratios)
