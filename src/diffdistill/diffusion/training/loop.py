"""Training the diffusion model: a loop whose every random number follows from (seed, iteration, row of the batch).

Nothing in it remembers anything that the state does not hold, so a run that stops and goes on equals one that did not;
and any number of processes, each with its part of the batch in any number of pieces, take the same steps.
"""

import functools
import itertools
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from diffdistill.data.batches import batch_indices
from diffdistill.data.image_files import ORIGIN, differing, from_bytes
from diffdistill.diffusion import augmentation, ema
from diffdistill.diffusion.loss import logit_normal_times, min_snr_weight, noise_prediction_loss
from diffdistill.diffusion.schedule import VPSchedule
from diffdistill.diffusion.uvit import UViT
from diffdistill.errors import UserError
from diffdistill.runtime import tensor_files
from diffdistill.runtime.compiling import with_fallback
from diffdistill.runtime.processes import SINGLE, Processes
from diffdistill.runtime.seeds import derive_seed, generator

HISTORY = ("iteration", "loss", "learning_rate", "ema_decay", "images_per_second")


@dataclass(frozen=True)
class Recipe:
    """What the loop needs to know; the config's train block says what each value means."""

    iterations: int
    batch_size: int
    learning_rate: float
    warmup_iterations: int
    decay: str
    weight_decay: float
    betas: tuple[float, float]
    ema_decay: float
    flip: bool
    seed: int
    log_every: int
    snapshot_every: int
    loss_weight: str = "none"
    times: str = "uniform"
    times_mean: float = 0.0
    times_std: float = 1.0
    label_dropout: float = 0.0
    augment: str = ""
    augment_probability: float = 0.15
    further_ema_decays: tuple[float, ...] = ()

    @property
    def families(self) -> list[str]:
        """Of the augmentation."""
        return [family for family in self.augment.split("_") if family]


Objective = Callable[[Callable[..., Tensor], Tensor, Tensor, Tensor, Tensor, int], Tensor]
"""(network, x0 (B, C, H, W), t (B,) in [0, 1], noise like x0, y (B,), iteration) -> losses (B,)"""


def denoising(recipe: Recipe) -> Objective:
    """The squared error of the predicted noise, weighted as the recipe says."""
    schedule = VPSchedule()

    def losses(
        network: Callable[..., Tensor], x0: Tensor, t: Tensor, noise: Tensor, y: Tensor, iteration: int
    ) -> Tensor:
        error = noise_prediction_loss(network, schedule, x0, t, noise, y)
        return error * min_snr_weight(schedule, t) if recipe.loss_weight == "min_snr" else error

    return losses


@dataclass(frozen=True)
class Execution:
    """How the work of a step is done; none of it decides what is computed, but for rounding."""

    processes: Processes = SINGLE
    micro_batch_size: int | None = None
    """At most so many images at once; None: all of the process's."""
    precision: torch.dtype = torch.float32
    """Of matrix products; weights, loss and optimiser are float32."""
    compile: bool = False

    def pieces(self, batch_size: int) -> list[slice]:
        """The rows of this process's share of a batch that are computed at once, as equal as they can be."""
        share = self.processes.share(batch_size)
        count = math.ceil((share.stop - share.start) / (self.micro_batch_size or batch_size))
        bounds = [(share.stop - share.start) * piece // count for piece in range(count + 1)]
        return [slice(*pair) for pair in itertools.pairwise(bounds)]

    def describe(self, batch_size: int) -> str:
        """How the batch is divided, for the log: global = devices x micro-batch x accumulations."""
        devices = self.processes.count
        share = math.ceil(batch_size / devices)  # the largest one
        accumulations = math.ceil(share / (self.micro_batch_size or batch_size))
        micro = math.ceil(share / accumulations)
        unequal = "at most " if devices * micro * accumulations != batch_size else ""
        product = f"{devices} device{'s' if devices > 1 else ''} x {unequal}{micro} x {accumulations}"
        precision = str(self.precision).removeprefix("torch.")
        return f"batch {batch_size} = {product}, {precision}{', compiled' if self.compile else ''}"


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


@dataclass
class State:
    """Everything that training goes on from."""

    network: UViT
    optimiser: torch.optim.AdamW
    average: dict[str, Tensor]
    further: list[dict[str, Tensor]] = field(default_factory=list)
    """Averages of other lengths."""
    iteration: int = 0
    seconds: float = 0.0
    """Time spent training, over all slices and restarts."""
    snapshots: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    """Averaged weights of the current slice: 100 those of iteration 100, 100-ema1 those of the first further length."""
    history: list[tuple[float, ...]] = field(default_factory=list)
    """Rows of HISTORY, of the current slice."""

    @classmethod
    def start(cls, network: UViT, recipe: Recipe) -> "State":
        optimiser = torch.optim.AdamW(
            network.parameters(),
            lr=recipe.learning_rate,
            betas=recipe.betas,
            weight_decay=recipe.weight_decay,
            fused=True,  # one kernel for all tensors: a fifth of the time on a CPU too
        )
        average, *further = (
            {name: value.clone() for name, value in network.state_dict().items()}
            for _ in range(1 + len(recipe.further_ema_decays))
        )
        return cls(network, optimiser, average, further)

    @property
    def averages(self) -> dict[str, dict[str, Tensor]]:
        """All of them by how their names end."""
        return {"": self.average} | {f"-ema{number}": average for number, average in enumerate(self.further, 1)}

    def save(self, path: Path, metadata: Mapping[str, str]) -> None:
        """One file, whole or absent."""
        tensors = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        for ending, average in self.averages.items():
            tensors |= {f"average{ending}.{name}": value for name, value in average.items()}
        for name, parameter in self.network.named_parameters():
            moments = self.optimiser.state.get(parameter)
            if moments:
                tensors[f"first_moment.{name}"] = moments["exp_avg"]
                tensors[f"second_moment.{name}"] = moments["exp_avg_sq"]
        for snapshot, average in self.snapshots.items():
            tensors |= {f"snapshot.{snapshot}.{name}": value for name, value in average.items()}
        tensors["history"] = torch.tensor(self.history, dtype=torch.float64).reshape(-1, len(HISTORY))
        numbers = {"iteration": str(self.iteration), "seconds": repr(self.seconds)}
        tensor_files.save(path, tensors, {**metadata, **numbers})

    def load(self, path: Path, *, same_slice: bool) -> dict[str, str]:
        """Take over a saved state; a new slice starts with neither snapshots nor history. Returns the metadata.

        Raises UserError if the file is broken or belongs to another network.
        """
        tensors, metadata = tensor_files.load(path, lambda name: same_slice or not name.startswith(("snap", "hist")))
        groups: dict[str, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            group, _, rest = name.partition(".")
            groups.setdefault(group, {})[rest] = value
        device = next(self.network.parameters()).device
        try:
            self.network.load_state_dict(groups["network"], strict=True)
            for ending, average in self.averages.items():
                average.update({name: groups[f"average{ending}"][name].to(device) for name in average})
            self.iteration, self.seconds = int(metadata["iteration"]), float(metadata["seconds"])
            for name, parameter in self.network.named_parameters() if self.iteration else ():
                self._set_moments(parameter, groups["first_moment"][name], groups["second_moment"][name])
        except (KeyError, RuntimeError, ValueError) as error:
            raise UserError(
                f"{path}: not a training state of this network ({error}); delete it and run again"
            ) from error
        for name, value in groups.get("snapshot", {}).items():
            snapshot, _, rest = name.partition(".")
            self.snapshots.setdefault(snapshot, {})[rest] = value
        self.history = [tuple(row) for row in tensors["history"].tolist()] if "history" in tensors else []
        return metadata

    def _set_moments(self, parameter: nn.Parameter, first: Tensor, second: Tensor) -> None:
        self.optimiser.state[parameter] = {
            "step": torch.tensor(float(self.iteration), device=parameter.device),
            "exp_avg": first.to(parameter.device),
            "exp_avg_sq": second.to(parameter.device),
        }

    def broadcast(self, processes: Processes) -> None:
        """Take over the first process's state, but for snapshots and history, which it alone keeps."""
        counters = torch.tensor([self.iteration, self.seconds], dtype=torch.float64)
        processes.broadcast([counters])
        self.iteration, self.seconds = int(counters[0]), float(counters[1])
        tensors = list(self.network.state_dict().values())
        for average in self.averages.values():
            tensors += average.values()
        for parameter in self.network.parameters() if self.iteration else ():
            if not self.optimiser.state.get(parameter):
                self._set_moments(parameter, torch.zeros_like(parameter), torch.zeros_like(parameter))
            tensors += [self.optimiser.state[parameter][moment] for moment in ("exp_avg", "exp_avg_sq")]
        processes.broadcast(tensors)


class _Gradients:
    """All gradients as views of one tensor that ends in a row a process, so that one sum makes all processes agree.

    A row holds the process's part of the loss, the norm of its part of the gradient, and the signal that it got.
    """

    def __init__(self, network: nn.Module, processes: Processes) -> None:
        parameters = list(network.parameters())
        sizes = [math.ceil(parameter.numel() / 64) * 64 for parameter in parameters]  # aligned for fused kernels
        self._processes = processes
        self._all = torch.zeros(sum(sizes) + 3 * processes.count, device=parameters[0].device)
        *parts, rows = torch.split(self._all, [*sizes, 3 * processes.count])
        for parameter, part in zip(parameters, parts, strict=True):
            parameter.grad = part[: parameter.numel()].view_as(parameter)
        self._flat, self._rows = self._all[: sum(sizes)], rows.view(processes.count, 3)

    def clear(self) -> None:
        self._all.zero_()

    def agree(self, loss: Tensor, signal: int) -> list[list[float]]:
        """Sum the gradients over all processes; returns their rows. On a GPU the only wait of a step."""
        mine = self._rows[self._processes.rank]
        mine[0], mine[1], mine[2] = loss, torch.linalg.vector_norm(self._flat), signal
        self._processes.all_reduce(self._all)
        rows: list[list[float]] = self._rows.tolist()
        return rows


@dataclass(frozen=True)
class _Draws:
    """What an iteration draws, for this process's rows of the batch."""

    iteration: int
    indices: Tensor
    noise: Tensor
    t: Tensor
    mirrored: Tensor | None
    unlabelled: Tensor | None
    augment: Tensor | None

    @classmethod
    def of(cls, iteration: int, images: int, shape: Sequence[int], recipe: Recipe, rows: slice) -> "_Draws":
        """Drawn on the CPU for the whole batch, whoever takes which rows: so processes and pieces change no number."""
        draws, size = generator("train", recipe.seed, iteration), recipe.batch_size
        indices = batch_indices(images, size, iteration, recipe.seed)
        noise, t = torch.randn((size, *shape), generator=draws), torch.rand(size, generator=draws)
        if recipe.times == "logit_normal":
            t = logit_normal_times(t, recipe.times_mean, recipe.times_std)
        # what is off draws nothing, so that a switch changes no other number
        mirrored = torch.rand(size, generator=draws) < 0.5 if recipe.flip else None
        draws = generator("switches", recipe.seed, iteration)
        unlabelled = torch.rand(size, generator=draws) < recipe.label_dropout if recipe.label_dropout else None
        columns = augmentation.draws(recipe.families)
        augment = torch.rand((size, columns), generator=draws) if columns else None
        return cls(iteration, indices, noise, t, mirrored, unlabelled, augment).each(lambda drawn: drawn[rows])

    def each(self, change: Callable[[Tensor], Tensor]) -> "_Draws":
        changed = {name: change(value) for name, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **cast(Any, changed))


def train(
    state: State,
    images: Tensor,
    labels: Tensor,
    recipe: Recipe,
    *,
    until: int,
    objective: Objective | None = None,
    execution: Execution = Execution(),
    stop_signal: Callable[[], int] = lambda: 0,
    after_iteration: Callable[[State], None] = lambda state: None,
) -> int:
    """Train from state.iteration to `until`, in place; the state must be the same in all processes.

    images: (N, C, H, W) uint8, or float32 in [-1, 1]; labels: (N,) int64 of the network, both on its device.
    objective: what is minimised; None: `denoising`. With label_dropout the network's last label is that of no class.
    stop_signal: asked every iteration; as soon as any process's is not 0, all of them stop after the same iteration.
    Returns that signal, or 0 where `until` is reached all the same.
    Raises UserError in all processes on a non-finite loss or gradient, before weights or average are touched.
    """
    processes, device, network = execution.processes, images.device, state.network
    rows, pieces = processes.share(recipe.batch_size), execution.pieces(recipe.batch_size)
    gradients, losses_of = _Gradients(network, processes), objective or denoising(recipe)
    null_label = network.label_emb.num_embeddings - 1 if network.label_emb is not None else 0
    network.train()

    def draw(iteration: int) -> _Draws:
        return _Draws.of(iteration, len(images), images.shape[1:], recipe, rows)

    def backward(network: nn.Module, drawn: _Draws) -> Tensor:
        """This process's part of the batch's mean loss; its gradient is added up."""
        gradients.clear()
        drawn = drawn.each(lambda one: one.to(device))  # at once: a copy waits for the work before it
        loss = torch.zeros((), device=device)
        for piece in pieces:
            indices = drawn.indices[piece]
            x0, y = images[indices], labels[indices]  # (B, C, H, W), (B,)
            x0 = from_bytes(x0) if x0.dtype == torch.uint8 else x0
            if drawn.mirrored is not None:
                x0 = torch.where(drawn.mirrored[piece, None, None, None], x0.flip(3), x0)
            if drawn.unlabelled is not None:
                y = torch.where(drawn.unlabelled[piece], null_label, y)
            predict: Callable[..., Tensor] = network
            if drawn.augment is not None:
                x0, done = augmentation.of_images(x0, recipe.families, drawn.augment[piece], recipe.augment_probability)
                predict = functools.partial(network, augmentation=done)
            with torch.autocast(device.type, execution.precision, enabled=execution.precision != torch.float32):
                losses = losses_of(predict, x0, drawn.t[piece], drawn.noise[piece], y, drawn.iteration)
            part = losses.sum() / recipe.batch_size
            part.backward()  # type: ignore[no-untyped-call]
            loss += part.detach()
        return loss

    def plain(drawn: _Draws) -> Tensor:
        return backward(network, drawn)

    compiled = functools.cache(lambda: cast(nn.Module, torch.compile(network)))
    step = with_fallback(lambda drawn: backward(compiled(), drawn), plain) if execution.compile else plain
    signal, measured, drawn = 0, time.perf_counter(), draw(state.iteration)
    while state.iteration < until and not signal:
        started, k = time.perf_counter(), state.iteration
        loss = step(drawn)
        drawn = draw(k + 1)  # here, while a GPU still computes
        agreed = gradients.agree(loss, stop_signal())
        _require_finite(agreed, k, recipe)
        rate = learning_rate_at(k, recipe)
        for group in state.optimiser.param_groups:
            group["lr"] = rate
        state.optimiser.step()
        decays = [ema.decay_at(k, decay) for decay in (recipe.ema_decay, *recipe.further_ema_decays)]
        for average, decay in zip(state.averages.values(), decays, strict=True):
            ema.update(average, network, decay)
        state.iteration, signal = k + 1, int(max(row[2] for row in agreed))
        if processes.is_main and state.iteration % recipe.snapshot_every == 0:
            for ending, average in state.averages.items():
                copied = {name: value.to("cpu", copy=True) for name, value in average.items()}
                state.snapshots[f"{state.iteration}{ending}"] = copied
        since_logged = state.iteration % recipe.log_every
        if processes.is_main and (since_logged == 0 or state.iteration == recipe.iterations):
            now = time.perf_counter()
            speed = (since_logged or recipe.log_every) * recipe.batch_size / (now - measured)
            state.history.append((float(state.iteration), sum(row[0] for row in agreed), rate, decays[0], speed))
            measured = now
        state.seconds += time.perf_counter() - started
        after_iteration(state)
    return signal if state.iteration < until else 0


def _require_finite(agreed: list[list[float]], iteration: int, recipe: Recipe) -> None:
    for rank, (loss, norm, _) in enumerate(agreed):
        for what, value in (("loss", loss), ("norm of the gradient", norm)):
            if not math.isfinite(value):
                raise UserError(
                    f"the {what} of iteration {iteration} is {value} on rank {rank}; the last saved state is sound: "
                    f"lower train.learning_rate ({recipe.learning_rate}) or raise train.warmup_iterations"
                )


def initialise(build: Callable[[], UViT], seed: int) -> UViT:
    """A new network whose first weights follow from the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed("weights", seed))
        return build()


def metadata_of(config: str, data: Mapping[str, str]) -> dict[str, str]:
    """What a training state says of its origin: the resolved config, and the data it saw."""
    return {"config": config, **{key: data[key] for key in ("classes", *ORIGIN) if key in data}}


def same_origin(found: Mapping[str, str], expected: Mapping[str, str]) -> list[str]:
    """`key value against value`, the found one first, wherever two training states differ; empty if they fit.

    A setting that one of them lacks is a difference; of the data, only what both say of it is compared.
    """
    theirs, ours = _settings(found), _settings(expected)
    keys = sorted({*theirs, *ours})
    settings = differing(keys, dict.fromkeys(keys) | theirs, dict.fromkeys(keys) | ours)
    return settings + differing(("classes", *ORIGIN), found, expected)


def _settings(metadata: Mapping[str, str]) -> dict[str, Any]:
    """The config's values by dotted key, such as train.seed."""
    settings: dict[str, Any] = {}
    for key, value in json.loads(metadata.get("config", "{}")).items():
        settings |= {f"{key}.{name}": one for name, one in value.items()} if isinstance(value, dict) else {key: value}
    return settings
