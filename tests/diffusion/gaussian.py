"""Gaussian data, whose exact noise prediction and probability flow are known."""

import torch
from torch import Tensor

from diffdistill.diffusion.schedule import VPSchedule

SCHEDULE = VPSchedule()
MEAN, SPREAD = 0.3, 0.5


def exact_noise(x: Tensor, t: Tensor) -> Tensor:
    """E[eps | x_t] for data N(MEAN, SPREAD^2)."""
    alpha_t, sigma_t = (f(t)[:, None, None, None] for f in (SCHEDULE.alpha, SCHEDULE.sigma))
    return sigma_t * (x - alpha_t * MEAN) / (alpha_t**2 * SPREAD**2 + sigma_t**2)


def exact_end(x_T: Tensor, t_end: float) -> Tensor:
    """The probability flow keeps every point's quantile."""
    ends = torch.tensor([1.0, t_end], dtype=torch.float64)
    alpha, sigma = SCHEDULE.alpha(ends), SCHEDULE.sigma(ends)
    spread = (alpha**2 * SPREAD**2 + sigma**2).sqrt()
    return alpha[1] * MEAN + spread[1] / spread[0] * (x_T - alpha[0] * MEAN)


def start(count: int = 4000) -> Tensor:
    return torch.randn(count, 1, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def ddim(x: Tensor, x0: Tensor, s: Tensor, t: Tensor) -> Tensor:
    return SCHEDULE.alpha(t) * x0 + SCHEDULE.sigma(t) / SCHEDULE.sigma(s) * (x - SCHEDULE.alpha(s) * x0)


def exact_image(x: Tensor, t: Tensor) -> Tensor:
    return (x - SCHEDULE.sigma(t) * exact_noise(x, t.expand(len(x)))) / SCHEDULE.alpha(t)
