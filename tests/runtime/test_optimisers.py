"""Optimisers take torch's own steps, and do not import its compiler."""

import subprocess
import sys
from typing import Any

import pytest
import torch

from diffdistill.runtime import optimisers

KINDS: dict[str, dict[str, Any]] = {
    "SGD": {"momentum": 0.9, "weight_decay": 5e-4},
    "Adam": {"betas": (0.5, 0.99)},
    "AdamW": {"betas": (0.9, 0.99), "weight_decay": 0.03, "fused": True},
    "Muon": {"weight_decay": 0.03, "adjust_lr_fn": "match_rms_adamw"},
}


MATRICES_ONLY = {"Muon"}


def steps(module: Any, kind: str) -> list[torch.Tensor]:
    draws = torch.Generator().manual_seed(0)
    values = [
        torch.randn(size, generator=draws).requires_grad_()
        for size in ((5, 3), (7, 7) if kind in MATRICES_ONLY else (7,))
    ]
    optimiser = getattr(module, kind)(values, lr=0.1, **KINDS[kind])
    for number in range(5):
        optimiser.zero_grad(set_to_none=True)
        sum(((value - number) ** 3).sum() for value in values).backward()
        optimiser.param_groups[0]["lr"] = 0.1 / (1 + number)
        optimiser.step()
    return [value.detach() for value in values]


@pytest.mark.parametrize("kind", KINDS)
def test_steps_are_those_of_torch(kind: str) -> None:
    ours, theirs = steps(optimisers, kind), steps(torch.optim, kind)
    assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))
    assert all(torch.equal(one, other) for one, other in zip(steps(optimisers, kind), theirs, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_no_step_imports_the_compiler(kind: str) -> None:
    program = f"from tests.runtime.test_optimisers import *; steps(optimisers, {kind!r})"
    program += "; import sys; sys.exit('torch._dynamo' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
