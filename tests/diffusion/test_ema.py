"""EMA weights: closed form, and the network is left alone."""

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
    kept = {name: torch.zeros_like(value) for name, value in weights.items()}
    tensor = kept["weight"]
    for _ in range(5):
        ema.update(kept, network, 0.8)
    assert kept["weight"] is tensor and not tensor.requires_grad
    for name, value in network.state_dict().items():
        assert torch.equal(value, weights[name])
        assert torch.allclose(kept[name], value * (1 - 0.8**5))
    assert float(1 - 0.8**5) == pytest.approx(0.67232)


def test_the_decay_warms_up() -> None:
    network = nn.Linear(1, 1, bias=False)
    weights = {"weight": torch.zeros(1, 1)}
    nn.init.ones_(network.weight)
    for k in range(3):
        ema.update(weights, network, ema.decay_at(k, 0.999))
    remaining = (1 / 10) * (2 / 11) * (3 / 12)
    assert float(weights["weight"]) == pytest.approx(1 - remaining, rel=1e-6)
