"""Labelled images from a trained network; image i depends on (seed, i) alone."""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from diffdistill.data import image_files
from diffdistill.diffusion import solvers, subclasses
from diffdistill.diffusion.schedule import VPSchedule
from diffdistill.diffusion.uvit import UViT
from diffdistill.diffusion.weights import Shape
from diffdistill.runtime import devices
from diffdistill.runtime.compiling import with_fallback
from diffdistill.runtime.seeds import image_noise

Network = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(x (B, C, H, W), t (B,), y (B,)) -> predicted noise like x; a U-ViT is one."""

PROBE_FROM_SECONDS, COMPILE_FROM_SECONDS = 120.0, 600.0
"""Budgets from which the choice `auto` makes measurements: of precision, and on a GPU of compiling too.

On two CPU cores compiled layers gained 5 % in half precision, and compiling took up to a minute where others computed.
"""


def labels_of(first: int, count: int, num_classes: int) -> Tensor:
    """Labels (count,) int64 of images first, first+1, …: 0..K-1 again and again, so that every prefix is balanced."""
    return torch.arange(first, first + count) % num_classes


@torch.inference_mode()
def draw(
    network: Network, shape: Shape, solver: dict[str, Any], *, seed: int, first: int, count: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Images first .. first+count-1: uint8 (count, C, H, W) and their labels int64 (count,), both on the CPU.

    solver: algorithm, method, order, steps, spacing and t_end, as in the config.
    """
    labels = labels_of(first, count, shape.num_classes)
    noise = image_noise(seed, first, count, (shape.in_chans, shape.img_size, shape.img_size)).to(device)
    y, schedule = subclasses.drawn(labels, shape.subclasses, seed=seed, first=first).to(device), VPSchedule()

    def predict(x: Tensor, t: Tensor) -> Tensor:
        return network(x, t, y)

    def fresh(step: int) -> Tensor:
        # a stream of its own per image and step: what draws noise again is as repeatable as an ODE
        return image_noise(seed, first, count, tuple(noise.shape[1:]), purpose=step).to(device)

    if solver["algorithm"] == "consistency":
        x = solvers.consistency(predict, noise, schedule, steps=solver["steps"], fresh=fresh)
    elif solver["algorithm"] == "ancestral":
        x = solvers.ancestral(predict, noise, schedule, steps=solver["steps"], t_end=solver["t_end"], fresh=fresh)
    else:
        x = solvers.solve(predict, noise, schedule, **solver)
    return image_files.to_bytes(x.float().cpu()), labels


class Counting:
    """A network that knows how often it was called."""

    def __init__(self, network: Network) -> None:
        self.network, self.calls = network, 0

    def __call__(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        self.calls += 1
        return self.network(x, t, y)


def with_guidance(
    network: Network, shape: Shape, guidance: dict[str, Any] | None, earlier: Network | None
) -> tuple[Network, Callable[[], int]]:
    """The network guided as the config's block says, and how many evaluations it has taken so far, of both networks.

    earlier: the one that guides; None: the network itself without the label.
    """
    counted = [own := Counting(network)]
    if guidance is None:
        return own, lambda: own.calls
    weaker = unlabelled(own, shape)
    if earlier is not None:
        counted.append(weaker := Counting(earlier))
    run = guided(own, weaker, weight=guidance["weight"], interval=guidance["interval"])
    return run, lambda: sum(one.calls for one in counted)


def unlabelled(network: Network, shape: Shape) -> Network:
    """The network without the label; shape: one that has a null label."""
    return lambda x, t, y: network(x, t, torch.full_like(y, shape.labels - 1))


def guided(network: Network, weaker: Network, *, weight: float, interval: tuple[float, float]) -> Network:
    """weaker + weight (network - weaker) at times within the interval, both ends included; elsewhere the network.

    With itself `unlabelled` as the weaker: classifier-free guidance, Ho and Salimans 2022 (arXiv 2207.12598), equation
    6 with their 1 + w as weight; with an earlier self: autoguidance, Karras et al. 2024 (arXiv 2406.02507), equation 5.
    The interval: Kynkäänniemi et al. 2024 (arXiv 2404.07724). All times of a batch must be one.
    """

    def predict(x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        own = network(x, t, y)
        if not interval[0] <= float(t[0]) <= interval[1]:
            return own
        other = weaker(x, t, y)
        return other + weight * (own - other)

    return predict


@dataclass(frozen=True)
class Plan:
    """How the network is run: what an image is depends on it in the last bits only."""

    precision: str
    compiled: bool
    batch_size: int | None
    """The one size of all batches; None: to be found while drawing."""
    reason: str


def prepared(network: UViT, precision: str, compiled: bool) -> Network:
    """The network itself, or a copy in half precision, its layers compiled for one batch size; float32 in and out."""
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32

    def of(changed: UViT) -> Network:
        return lambda x, t, y: changed(x.to(dtype), t, y).to(x.dtype)  # the time stays exact

    plain = of(copy.deepcopy(network).to(dtype)) if precision == "bfloat16" else network
    if not compiled:
        return plain
    fast = copy.deepcopy(network).to(dtype)
    for layer in (*fast.in_blocks, fast.mid_block, *fast.out_blocks):
        layer.compile(dynamic=False)  # all layers of a kind share one compilation, whatever the depth
    return with_fallback(of(fast), plain)


@torch.inference_mode()
def planned(
    network: UViT,
    shape: Shape,
    *,
    precision: str,
    compile: bool | str,
    batch_size: int,
    budget_seconds: float | None,
    device: torch.device,
) -> tuple[Network, Plan]:
    """The network run as the settings say; `auto` is measured where the budget is long enough, else float32, eager.

    The measurements take about a hundredth of the budget; compiling comes on top.
    """
    budget = budget_seconds or 0.0
    if budget < PROBE_FROM_SECONDS or (precision != "auto" and compile != "auto"):
        wanted, compiled = "float32" if precision == "auto" else precision, compile is True
        reason = "too short a budget for a probe" if "auto" in (precision, compile) else "as set"
        return prepared(network, wanted, compiled), Plan(wanted, compiled, batch_size if compiled else None, reason)
    size = max(1, min(batch_size, int(0.002 * budget / _seconds_an_image(network, shape, 1, device))))
    eager = {
        name: prepared(network, name, compiled=False)
        for name in (("float32", "bfloat16") if precision == "auto" else (precision,))
    }
    costs = {name: _seconds_an_image(candidate, shape, size, device) for name, candidate in eager.items()}
    name = min(costs, key=lambda precision: costs[precision])
    run, compiled = eager[name], compile is True
    if compiled or (compile == "auto" and device.type == "cuda" and budget >= COMPILE_FROM_SECONDS):
        fast = prepared(network, name, compiled=True)
        costs["compiled"] = _seconds_an_image(fast, shape, size, device)
        compiled = compiled or costs["compiled"] < costs[name]
        run = fast if compiled else run
    shown = ", ".join(f"{what} {1e3 * cost:.3g} ms" for what, cost in costs.items())
    reason = f"an image's evaluation in a batch of {size} took: {shown}"
    return run, Plan(name, compiled, size if compiled else None, reason)


def _seconds_an_image(network: Network, shape: Shape, count: int, device: torch.device, repeats: int = 2) -> float:
    """Of one network evaluation, the least of some repeats after a first that does not count."""
    x = torch.zeros(count, shape.in_chans, shape.img_size, shape.img_size, device=device)
    t, y = torch.full((count,), 0.5, device=device), torch.zeros(count, dtype=torch.int64, device=device)
    spent = []
    for _ in range(1 + repeats):
        devices.synchronise(device)
        started = time.perf_counter()
        network(x, t, y)
        devices.synchronise(device)
        spent.append(time.perf_counter() - started)
    return min(spent[1:]) / count
