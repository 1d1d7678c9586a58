"""All gradients are views of one tensor, and processes agree by its sum."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from diffdistill.diffusion.training.gradients import Gradients
from diffdistill.runtime.processes import SINGLE, Processes
from tests.diffusion.models import MODELS, busy


@pytest.mark.parametrize("kind", MODELS)
def test_gradients_are_those_of_autograd(kind: str) -> None:
    plain, flat = busy(MODELS[kind]).network, busy(MODELS[kind]).network
    gradients = Gradients(flat, SINGLE)
    x, t, y = torch.ones(3, 1, 8, 8), torch.full((3,), 0.4), torch.arange(3)
    losses = []
    for network in (plain, flat):
        for _ in range(2):  # the second adds up
            loss = network(x, t, y).square().mean()
            loss.backward()
        losses.append(loss.detach())
    rows = gradients.agree(losses[1], 0)
    norm = torch.stack([p.grad.square().sum() for p in plain.parameters() if p.grad is not None]).sum().sqrt()
    assert rows == [[pytest.approx(float(losses[0])), pytest.approx(float(norm), rel=1e-5), 0.0]]
    for one, other in zip(plain.parameters(), flat.parameters(), strict=True):
        assert other.grad is not None
        assert torch.equal(one.grad if one.grad is not None else torch.zeros_like(one), other.grad)
    gradients.clear()
    assert not any(bool(p.grad.any()) for p in flat.parameters() if p.grad is not None)


@dataclass(frozen=True)
class Recording(Processes):
    """One of two processes, whose sum doubles all numbers."""

    def all_reduce(self, tensor: Tensor) -> None:
        tensor.mul_(2)


def test_one_sum_is_over_all_gradients_and_rows() -> None:
    network = nn.Linear(3, 2)
    gradients = Gradients(network, Recording(rank=1, count=2))
    network(torch.ones(1, 3)).sum().backward()
    rows = gradients.agree(torch.tensor(0.5), 15)
    assert rows == [[0.0, 0.0, 0.0], [1.0, pytest.approx(2 * 8**0.5), 30.0]]
    assert network.weight.grad is not None and torch.equal(network.weight.grad, torch.full((2, 3), 2.0))
