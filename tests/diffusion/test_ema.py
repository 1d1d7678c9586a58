"""The average of the weights: closed form, and nothing but the average is touched."""

import pytest
import torch
from torch import nn

from diffdistill.diffusion import ema


def test_the_decay_is_a_function_of_the_iteration() -> None:
    assert [ema.decay_at(k, 0.9) for k in (0, 1, 80, 81, 1000)] == [0.1, 2 / 11, 0.9, 0.9, 0.9]


def test_a_short_run_forgets_its_first_weights() -> None:
    share = 1.0
    for k in range(3000):
        share *= ema.decay_at(k, 0.9999)
    assert share < 1e-20 < 0.9999**3000


def test_the_update_is_in_place_and_leaves_the_network_alone() -> None:
    network = nn.Linear(2, 1)
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    average = {name: torch.zeros_like(value) for name, value in weights.items()}
    tensor = average["weight"]
    for _ in range(5):
        ema.update(average, network, 0.8)
    assert average["weight"] is tensor and not tensor.requires_grad
    for name, value in network.state_dict().items():
        assert torch.equal(value, weights[name])
        assert torch.allclose(average[name], value * (1 - 0.8**5))
    assert float(1 - 0.8**5) == pytest.approx(0.67232)
