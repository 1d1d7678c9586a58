"""torch's optimisers, without its compiler.

torch imports torch._dynamo when the first optimiser is made or steps, which takes as long as to import torch. Only a
step inside a compiled function needs that, and here none is.
"""

import inspect
from collections.abc import Callable
from typing import Any

import torch


def _plain(method: Callable[..., Any]) -> Callable[..., Any]:
    """The function of a method, without what torch has wrapped around it to keep it from being compiled."""
    found: Callable[..., Any] = inspect.unwrap(getattr(method, "__func__", method))
    return found


class _WithoutCompiler(torch.optim.Optimizer):
    def add_param_group(self, param_group: dict[str, Any]) -> None:
        _plain(super().add_param_group)(self, param_group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        _plain(super().zero_grad)(self, set_to_none)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        _plain(super().step)(self)


class SGD(_WithoutCompiler, torch.optim.SGD):
    pass


class Adam(_WithoutCompiler, torch.optim.Adam):
    pass


class AdamW(_WithoutCompiler, torch.optim.AdamW):
    pass


class Muon(_WithoutCompiler, torch.optim.Muon):
    pass
