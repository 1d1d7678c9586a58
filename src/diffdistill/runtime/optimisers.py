"""torch's optimisers, without its compiler.

torch imports torch._dynamo when the first optimiser is made or steps, which takes as long as to import torch. Only a
step inside a compiled function needs that, and here none is.
"""

import inspect
from collections.abc import Callable
from typing import Any

import torch


def _plain(method: Callable[..., Any]) -> Callable[..., Any]:
    """The method itself, which torch has wrapped in what imports the compiler; where it is not wrapped, the same."""
    found: Callable[..., Any] = inspect.unwrap(method)
    return found


class _WithoutCompiler(torch.optim.Optimizer):
    def add_param_group(self, param_group: dict[str, Any]) -> None:
        _plain(torch.optim.Optimizer.add_param_group)(self, param_group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        _plain(torch.optim.Optimizer.zero_grad)(self, set_to_none)


class SGD(_WithoutCompiler, torch.optim.SGD):
    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        _plain(torch.optim.SGD.step)(self)


class Adam(_WithoutCompiler, torch.optim.Adam):
    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        _plain(torch.optim.Adam.step)(self)


class AdamW(_WithoutCompiler, torch.optim.AdamW):
    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        _plain(torch.optim.AdamW.step)(self)
