"""The schedule against its integral, and its dtype."""

import math

import pytest
import torch

from diffdistill.diffusion.schedule import VPSchedule


@pytest.mark.parametrize("t", [1e-4, 0.1, 0.5, 1.0])
def test_log_alpha_is_minus_half_the_integral_of_beta(t: float) -> None:
    beta = [0.1 + 19.9 * t * (i + 0.5) / 1000 for i in range(1000)]  # midpoints are exact for a linear beta
    log_alpha = -0.5 * sum(beta) * t / 1000
    schedule, time = VPSchedule(), torch.tensor(t, dtype=torch.float64)
    assert float(schedule.alpha(time)) == pytest.approx(math.exp(log_alpha), rel=1e-9)
    assert float(schedule.sigma(time)) == pytest.approx(math.sqrt(-math.expm1(2 * log_alpha)), rel=1e-9)
    expected = log_alpha - 0.5 * math.log(-math.expm1(2 * log_alpha))
    assert float(schedule.half_logsnr(time)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_and_shape_are_kept(dtype: torch.dtype) -> None:
    schedule, t = VPSchedule(), torch.rand(2, 3, generator=torch.Generator().manual_seed(0)).to(dtype)
    for found in (schedule.alpha(t), schedule.sigma(t), schedule.half_logsnr(t), schedule.time_of(t)):
        assert found.dtype == dtype and found.shape == t.shape


def test_small_times_keep_their_digits_in_float32() -> None:
    exact = VPSchedule().sigma(torch.tensor(1e-4, dtype=torch.float64))
    assert float(VPSchedule().sigma(torch.tensor(1e-4))) == pytest.approx(float(exact), rel=1e-6)


def test_the_schedule_keeps_variance_and_inverts() -> None:
    schedule = VPSchedule()
    t = torch.linspace(1e-4, 1, 50, dtype=torch.float64)
    assert torch.allclose(schedule.alpha(t) ** 2 + schedule.sigma(t) ** 2, torch.ones_like(t))
    assert torch.allclose(schedule.time_of(schedule.half_logsnr(t)), t, rtol=1e-9)
    assert float(schedule.alpha(torch.tensor(1.0))) == pytest.approx(torch.exp(torch.tensor(-5.025)).item())
