"""The training loop."""

import math
import time
from collections.abc import Callable

import numpy as np
from torch import Tensor

from diffdistill.config import Recipe
from diffdistill.diffusion import ema
from diffdistill.diffusion.training.batch import Batch
from diffdistill.diffusion.training.execution import DEFAULT, Execution
from diffdistill.diffusion.training.objective import Objective, denoising
from diffdistill.diffusion.training.state import State
from diffdistill.diffusion.training.step import Step
from diffdistill.errors import UserError


class NonFiniteError(UserError):
    """A loss or gradient that is infinite or NaN."""

    def __init__(self, what: str, value: float, iteration: int, rank: int) -> None:
        super().__init__(
            f"the {what} of iteration {iteration} is {value} on rank {rank}; the last saved state is finite"
        )
        self.what, self.value, self.iteration, self.rank = what, value, iteration, rank


def learning_rate_at(iteration: int, recipe: Recipe) -> float:
    """The rate of iteration 0, 1, …: linear warm-up, then constant or falling to 0 after the last iteration."""
    if iteration < recipe.warmup_iterations:
        return recipe.learning_rate * (iteration + 1) / recipe.warmup_iterations
    done = (iteration - recipe.warmup_iterations) / (recipe.iterations - recipe.warmup_iterations)
    if recipe.decay == "linear":
        return recipe.learning_rate * (1 - done)
    if recipe.decay == "cosine":
        return recipe.learning_rate * 0.5 * (1 + float(np.cos(np.pi * done)))
    return recipe.learning_rate


def train(
    state: State,
    images: Tensor,
    labels: Tensor,
    recipe: Recipe,
    *,
    until: int,
    snapshot_every: int | None = None,
    objective: Objective | None = None,
    execution: Execution = DEFAULT,
    stop_signal: Callable[[], int] = lambda: 0,
    after_iteration: Callable[[State], None] = lambda state: None,
) -> int:
    """Train from state.iteration to `until`, in place; the state must be the same in all processes.

    images: (N, C, H, W) uint8, or float32 in [-1, 1]; labels: (N,) int64 of the network, both on its device.
    snapshot_every: iterations between EMA weights that are kept; None: none are kept.
    objective: what is minimised; None: `denoising`.
    stop_signal: asked every iteration; as soon as any process's is not 0, all of them stop after the same iteration.
    Returns that signal, or 0 if `until` is reached all the same.
    Raises NonFiniteError in all processes before weights or EMA are changed, and ValueError if labels are dropped but
    the denoiser has no null label.
    """
    processes, denoiser = execution.processes, state.denoiser
    rows = processes.share(recipe.batch_size)
    if objective is None:
        objective = denoising(recipe, schedule=denoiser.schedule, prediction=denoiser.prediction)
    step = Step(denoiser, images, labels, recipe, objective, execution)
    denoiser.train()

    def draw(iteration: int) -> Batch:
        return Batch.draw(iteration, len(images), images.shape[1:], recipe, rows)

    signal, batch = 0, draw(state.iteration)
    logged, logged_at = time.perf_counter(), state.iteration
    while state.iteration < until and not signal:
        started, k = time.perf_counter(), state.iteration
        loss = step(batch)
        batch = draw(k + 1)  # here, while a GPU still computes
        agreed = step.gradients.agree(loss, stop_signal())
        _require_finite(agreed, k)
        rate = _update(state, recipe)
        signal = int(max(row[2] for row in agreed))
        if processes.is_main and snapshot_every and state.iteration % snapshot_every == 0:
            state.take_snapshots()
        if processes.is_main and (state.iteration % recipe.log_every == 0 or state.iteration == recipe.iterations):
            now = time.perf_counter()
            speed = (state.iteration - logged_at) * recipe.batch_size / (now - logged)
            decay = ema.decay_at(k, recipe.ema_decays[0])
            state.history.append((float(state.iteration), sum(row[0] for row in agreed), rate, decay, speed))
            logged, logged_at = now, state.iteration
        state.seconds += time.perf_counter() - started
        after_iteration(state)
    return signal if state.iteration < until else 0


def _update(state: State, recipe: Recipe) -> float:
    """One step of the optimiser and of every EMA; returns the learning rate."""
    rate = learning_rate_at(state.iteration, recipe)
    state.optimiser.step(rate)
    for weights, decay in zip(state.emas, recipe.ema_decays, strict=True):
        ema.update(weights, state.denoiser.network, ema.decay_at(state.iteration, decay))
    state.iteration += 1
    return rate


def _require_finite(agreed: list[list[float]], iteration: int) -> None:
    for rank, (loss, norm, _) in enumerate(agreed):
        for what, value in (("loss", loss), ("norm of the gradient", norm)):
            if not math.isfinite(value):
                raise NonFiniteError(what, value, iteration, rank)
