"""iPNDM (Zhang and Chen 2023, arXiv 2204.13902): Adams-Bashforth on x / alpha, whose slope in sigma / alpha is noise.

Its weights are those of even steps, on any grid. It leads at 5 to 8 evaluations, with spacing `rho`.
"""

import torch
from torch import Tensor

from diffdistill.diffusion.solvers.prediction import Space

ADAMS_BASHFORTH = ((1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24))
"""By order: the weights of the last slopes, newest first."""


def multistep(space: Space, x: Tensor, grid: Tensor, order: int) -> Tensor:
    """Orders 1 to 4; the first steps lack history."""
    alpha = space.schedule.alpha(grid).tolist()
    level = torch.exp(-space.schedule.half_logsnr(grid)).tolist()  # sigma / alpha
    seen: list[Tensor] = []  # the predictions at the last four times, newest first
    for i in range(len(grid) - 1):
        seen = [space.predict(x, grid[i]), *seen[:3]]
        rule = ADAMS_BASHFORTH[min(order, i + 1) - 1]
        slope = sum(weight * noise for weight, noise in zip(rule, seen, strict=False))
        x = alpha[i + 1] / alpha[i] * x + alpha[i + 1] * (level[i + 1] - level[i]) * slope
    return x
