"""Guidance against its closed form: a push away from a weaker prediction, at the times that are asked for."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from diffdistill import config
from diffdistill.diffusion import sampling, training, weights
from diffdistill.diffusion.schedule import VPSchedule

SHAPE = weights.Shape(8, 1, 3, 4, 16, 2, 2, 4.0, null_label=True)
CPU = torch.device("cpu")


def constant(value: float) -> sampling.Network:
    return lambda x, t, y: torch.full_like(x, value)


def at(network: sampling.Network, time: float) -> float:
    x, y = torch.zeros(2, 1, 2, 2), torch.zeros(2, dtype=torch.int64)
    return float(network(x, torch.full((2,), time), y).unique())


@pytest.mark.parametrize(("weight", "expected"), [(0.0, 2.0), (1.0, 5.0), (1.5, 6.5), (3.0, 11.0)])
def test_the_push_is_linear_in_the_weight(weight: float, expected: float) -> None:
    network = sampling.guided(constant(5.0), constant(2.0), weight=weight, interval=(0.0, 1.0))
    assert at(network, 0.5) == pytest.approx(expected)


def test_outside_of_the_interval_nothing_is_pushed_or_computed() -> None:
    weaker = sampling.Counting(constant(2.0))
    network = sampling.guided(constant(5.0), weaker, weight=2.0, interval=(0.25, 0.5))
    assert [at(network, time) for time in (0.1, 0.25, 0.4, 0.5, 0.6)] == [5, 8, 8, 8, 5]
    assert weaker.calls == 3


def test_without_the_label_is_the_last_label() -> None:
    network = training.initialise(SHAPE.build, 0)
    x, t = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.full((4,), 0.4)
    y = torch.arange(4) % 3
    with torch.no_grad():
        found = sampling.unlabelled(network, SHAPE)(x, t, y)
        assert torch.equal(found, network(x, t, torch.full((4,), 3)))
        divided = replace(SHAPE, subclasses=[[1, 1]] * 3)
        assert divided.labels == 7


def test_guidance_samples_the_tilted_normal() -> None:
    """Two normals of one spread, means 0.4 with the label and 0 without: with weight w the mean is w times as far.

    The guided score is that of the normal with mean w 0.4 (linear in the mean for equal spreads), at every time.
    """
    schedule, spread = VPSchedule(), 0.1

    def normal(mean: float) -> sampling.Network:
        def noise(x: Tensor, t: Tensor, y: Tensor) -> Tensor:
            alpha, sigma = (factor(t)[:, None, None, None] for factor in (schedule.alpha, schedule.sigma))
            return sigma * (x - alpha * mean) / ((alpha * spread) ** 2 + sigma**2)

        return noise

    solver = config.Solver(steps=30, order=3).model_dump()
    draw = {"seed": 0, "first": 0, "count": 2000, "device": CPU}
    for weight in (1.0, 2.0):
        network = sampling.guided(normal(0.4), normal(0.0), weight=weight, interval=(0.0, 1.0))
        images, _ = sampling.draw(network, SHAPE, solver, **draw)  # type: ignore[arg-type]
        values = images.float() / 127.5 - 1
        assert float(values.mean()) == pytest.approx(0.4 * weight, abs=0.01)
        assert float(values.std()) == pytest.approx(spread, rel=0.05)
