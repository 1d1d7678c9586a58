"""Training steps of the U-ViT against a plain loop: eager float32, torch's default AdamW, a Python loop for the EMA."""

import copy
from collections.abc import Iterator

import torch

from benchmarks.measuring import CPU, PAIRS, Row, times_faster
from benchmarks.models import DIGITS, TINY_UVIT, UVIT_S, Case, as_published
from diffdistill.config import Recipe
from diffdistill.diffusion import training
from diffdistill.diffusion.loss import denoising_loss
from diffdistill.diffusion.training import Execution
from diffdistill.runtime import devices

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
