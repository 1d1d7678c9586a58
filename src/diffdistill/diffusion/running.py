"""How a denoiser is run for sampling: in half precision, compiled, and which of these pays off within a budget."""

import copy
import time
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from diffdistill.diffusion.denoiser import Denoiser, NetworkDenoiser, Wrapper
from diffdistill.diffusion.prediction import to_noise
from diffdistill.runtime import devices
from diffdistill.runtime.compiling import Fallback

PROBE_FROM_SECONDS, COMPILE_FROM_SECONDS = 120.0, 600.0
"""Budgets from which `auto` measures: the precision, and on a GPU also compilation.

On two CPU cores compiled layers gained 5 % in half precision, and compiling took up to a minute in which others sample.
"""


class HalfPrecision(Wrapper):
    """A copy of the network in bfloat16; images and predicted noise stay as they are, and the time stays exact."""

    def __init__(self, inner: NetworkDenoiser) -> None:
        super().__init__(inner)
        self._network = copy.deepcopy(inner.network).to(torch.bfloat16)

    def predict_noise(self, x: Tensor, t: Tensor, y: Tensor | None) -> Tensor:
        output = self._network(x.to(torch.bfloat16), t, y).to(x.dtype)
        return to_noise(self.prediction, output, x, t, self.schedule)


class Compiled(Wrapper):
    """A copy of the network with compiled layers, for one batch size; eager if compilation fails."""

    def __init__(self, inner: NetworkDenoiser, plain: Denoiser, dtype: torch.dtype = torch.float32) -> None:
        """plain: the same without compilation, as which it falls back; dtype: of the copy."""
        super().__init__(inner)
        network = copy.deepcopy(inner.network).to(dtype)
        for layer in network.compiled_layers():
            layer.compile(dynamic=False)

        def fast(x: Tensor, t: Tensor, y: Tensor | None) -> Tensor:
            return to_noise(self.prediction, network(x.to(dtype), t, y).to(x.dtype), x, t, self.schedule)

        self._run = Fallback(fast, plain.predict_noise)

    @property
    def failed(self) -> bool:
        """Whether it fell back to the eager network."""
        return self._run.failed

    def predict_noise(self, x: Tensor, t: Tensor, y: Tensor | None) -> Tensor:
        return self._run(x, t, y)


def prepared(denoiser: NetworkDenoiser, precision: str, compiled: bool) -> Denoiser:
    """The denoiser itself, or with a network in half precision or compiled; float32 in and out.

    precision: float32 or bfloat16.
    """
    half = precision == "bfloat16"
    plain: Denoiser = HalfPrecision(denoiser) if half else denoiser
    return Compiled(denoiser, plain, torch.bfloat16 if half else torch.float32) if compiled else plain


@dataclass(frozen=True)
class Plan:
    """How a denoiser is run; images depend on it in the last bits only."""

    denoiser: Denoiser
    precision: str
    batch_size: int | None
    """The one size of all batches; None: to be found while sampling."""
    reason: str

    @property
    def compiled(self) -> bool:
        """Whether the network that runs is compiled; False after a compilation that failed."""
        return isinstance(self.denoiser, Compiled) and not self.denoiser.failed

    def describe(self) -> dict[str, str | bool | int | None]:
        """For the account, to be asked after sampling."""
        asked = isinstance(self.denoiser, Compiled)
        reason = f"{self.reason}; compilation failed" if asked and not self.compiled else self.reason
        return {
            "precision": self.precision, "compiled": self.compiled, "batch_size": self.batch_size, "reason": reason,
        }  # fmt: skip


@torch.inference_mode()
def plan(
    denoiser: NetworkDenoiser,
    *,
    precision: Literal["auto", "float32", "bfloat16"],
    compile: Literal["auto"] | bool,
    batch_size: int,
    budget_seconds: float | None,
    device: torch.device,
) -> Plan:
    """The denoiser run as the settings say; `auto` is measured if the budget is long enough, else float32 and eager.

    The measurements take about a hundredth of the budget; compilation comes on top. batch_size: the largest allowed.
    """
    budget = budget_seconds or 0.0
    if budget < PROBE_FROM_SECONDS or (precision != "auto" and compile != "auto"):
        wanted, compiled = "float32" if precision == "auto" else precision, compile is True
        reason = "budget too short for a probe" if "auto" in (precision, compile) else "as set"
        return Plan(prepared(denoiser, wanted, compiled), wanted, batch_size if compiled else None, reason)
    size = max(1, min(batch_size, int(0.002 * budget / _seconds_per_image(denoiser, 1, device))))
    eager = {
        name: prepared(denoiser, name, compiled=False)
        for name in (("float32", "bfloat16") if precision == "auto" else (precision,))
    }
    costs = {name: _seconds_per_image(candidate, size, device) for name, candidate in eager.items()}
    name = min(costs, key=lambda precision: costs[precision])
    run, compiled = eager[name], compile is True
    if compiled or (compile == "auto" and device.type == "cuda" and budget >= COMPILE_FROM_SECONDS):
        fast = prepared(denoiser, name, compiled=True)
        costs["compiled"] = _seconds_per_image(fast, size, device)
        compiled = compiled or costs["compiled"] < costs[name]
        run = fast if compiled else run
    shown = ", ".join(f"{what} {1e3 * cost:.3g} ms" for what, cost in costs.items())
    reason = f"one evaluation per image in a batch of {size} took: {shown}"
    return Plan(run, name, size if compiled else None, reason)


def _seconds_per_image(denoiser: Denoiser, count: int, device: torch.device, repeats: int = 2) -> float:
    """Seconds of one network evaluation per image: the least of some repeats after a first that does not count."""
    x = torch.zeros(count, *denoiser.image_shape, device=device)
    t, y = torch.full((count,), 0.5, device=device), torch.zeros(count, dtype=torch.int64, device=device)
    spent = []
    for _ in range(1 + repeats):
        devices.synchronise(device)
        started = time.perf_counter()
        denoiser.predict_noise(x, t, y)
        devices.synchronise(device)
        spent.append(time.perf_counter() - started)
    return min(spent[1:]) / count
