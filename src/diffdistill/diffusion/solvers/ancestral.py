"""The ancestral sampler: a random backward process instead of the probability-flow equation."""

from collections.abc import Callable

import torch
from torch import Tensor

from diffdistill.diffusion.schedule import VPSchedule
from diffdistill.diffusion.solvers.prediction import NoiseFn


def ancestral(
    noise_fn: NoiseFn, x_T: Tensor, schedule: VPSchedule, *, nfe: int, t_end: float, fresh: Callable[[int], Tensor]
) -> Tensor:
    """The backward process of Ho et al. 2020 (arXiv 2006.11239), the paper's equation 10, on uniform times.

    mean = (x_t - beta_t / sqrt(1 - abar_t) eps) / sqrt(alpha_t), alpha_t = abar_t / abar_{t-1}, beta_t = 1 - alpha_t;
    the variance is that of q(x_{t-1} | x_t, x_0). fresh(i) gives the noise of step i, like x_T. Calls: `nfe`.
    Raises ValueError for nfe < 1 or t_end not in (0, 1).
    """
    if nfe < 1 or not 0 < t_end < 1:
        raise ValueError(f"need nfe >= 1 and t_end in (0, 1); found {nfe}, {t_end}")
    grid = torch.linspace(1.0, t_end, nfe + 1, dtype=torch.float64)
    abar = schedule.alpha(grid) ** 2
    x = x_T
    for i in range(nfe):
        alpha_t = float(abar[i] / abar[i + 1])
        beta_t, left = 1 - alpha_t, float(1 - abar[i])
        noise = noise_fn(x, grid[i].to(x).expand(len(x)))
        x = (x - beta_t / left**0.5 * noise) / alpha_t**0.5
        if i + 1 < nfe:  # the last mean is the image
            x = x + (float(1 - abar[i + 1]) / left * beta_t) ** 0.5 * fresh(i)
    return x
