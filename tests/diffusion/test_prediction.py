"""Conversions between noise, x0 and v are exact."""

import pytest
import torch

from diffdistill import config
from diffdistill.diffusion.prediction import target, to_noise
from diffdistill.diffusion.schedule import VPSchedule


@pytest.mark.parametrize("prediction", ["noise", "x0", "v"])
def test_conversions_are_exact(prediction: config.Prediction) -> None:
    """The right output gives the noise itself, at all times."""
    schedule, draws = VPSchedule(), torch.Generator().manual_seed(0)
    x0, noise = torch.randn(2, 6, 1, 4, 4, generator=draws, dtype=torch.float64)
    t = torch.linspace(1e-3, 1, 6, dtype=torch.float64)
    alpha, sigma = (factor(t)[:, None, None, None] for factor in (schedule.alpha, schedule.sigma))
    x_t = alpha * x0 + sigma * noise
    output = target(prediction, x0, noise, t, schedule)
    assert torch.allclose(to_noise(prediction, output, x_t, t, schedule), noise, rtol=1e-9, atol=1e-9)
