"""Training steps of the U-ViT against a plain loop: eager float32, torch's default AdamW, the average a loop."""

import copy
from collections.abc import Iterator

import torch

from benchmarks.measuring import Row, times_faster
from benchmarks.sampling import CPU, SMALL, UVIT_S
from diffdistill.diffusion import training, uvit, weights
from diffdistill.diffusion.loss import noise_prediction_loss
from diffdistill.diffusion.schedule import VPSchedule
from diffdistill.runtime import devices

RECIPE = training.Recipe(
    iterations=10**6, batch_size=128, learning_rate=2e-4, warmup_iterations=0, decay="none", weight_decay=0.03,
    betas=(0.99, 0.999), ema_decay=0.9999, flip=False, seed=0, log_every=10**6, snapshot_every=10**6,
)  # fmt: skip


def faster(shape: weights.Shape, batch_size: int, steps: int, execution: training.Execution) -> list[float]:
    recipe = training.Recipe(**{**RECIPE.__dict__, "batch_size": batch_size})
    draws = torch.Generator().manual_seed(0)
    x = torch.randn(4 * batch_size, shape.in_chans, shape.img_size, shape.img_size, generator=draws)
    y = torch.randint(shape.num_classes, (len(x),), generator=draws)
    state = training.State.start(training.initialise(shape.build, 0), recipe)
    network, schedule, few_tokens = copy.deepcopy(state.network), VPSchedule(), uvit.FEW_TOKENS
    optimiser = torch.optim.AdamW(network.parameters(), 2e-4, (0.99, 0.999), weight_decay=0.03)
    average = copy.deepcopy(network)

    def reference() -> None:
        uvit.FEW_TOKENS = 0  # torch's fused attention, as published
        for _ in range(steps):
            chosen = torch.randint(len(x), (batch_size,), generator=draws)
            noise, t = torch.randn(x[chosen].shape, generator=draws), torch.rand(batch_size, generator=draws)
            loss = noise_prediction_loss(network, schedule, x[chosen], t, noise, y[chosen]).mean()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            with torch.no_grad():
                for old, new in zip(average.parameters(), network.parameters(), strict=True):
                    old.copy_(0.9999 * old + 0.0001 * new)
        uvit.FEW_TOKENS = few_tokens

    def ours() -> None:
        training.train(state, x, y, recipe, until=state.iteration + steps, execution=execution)

    return times_faster(reference, ours)


def rows() -> Iterator[Row]:
    plain = "eager float32, torch's default AdamW, a loop for the average"
    chosen = devices.precision("auto", CPU)
    exact, auto = training.Execution(), training.Execution(precision=chosen)
    small, large = "training step: U-ViT, width 128, depth 4, batch 128", "training step: U-ViT-S, 32x32, batch 4"
    told = f"as `precision: auto` chose: {str(chosen).removeprefix('torch.')}"
    yield Row(f"{small}, {told}", plain, 1.3, faster(SMALL, 128, 5, auto))
    yield Row(f"{large}, {told}", plain, 1.3, faster(UVIT_S, 4, 1, auto))
    yield Row(f"{small}, float32", plain, None, faster(SMALL, 128, 5, exact))
