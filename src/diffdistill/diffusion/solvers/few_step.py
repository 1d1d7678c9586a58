"""Drawing with a network that was tuned to leap to the image from any time: `diffdistill.diffusion.consistency`."""

from collections.abc import Callable

import torch
from torch import Tensor

from diffdistill.diffusion.schedule import VPSchedule
from diffdistill.diffusion.solvers.prediction import NoiseFn, Space

MOST_NOISE = 12.0
"""sigma / alpha of the first leap. An error of the predicted noise grows as much, so it cannot be that of time 1, 152;
here noise alone stands for a noised image, whose pixels differ by 1/12 of the image."""


def consistency(
    noise_fn: NoiseFn, x_T: Tensor, schedule: VPSchedule, *, steps: int, fresh: Callable[[int], Tensor]
) -> Tensor:
    """Leap to the image, noise it less than before, leap again: Song et al. 2023 (arXiv 2303.01469), algorithm 1.

    The times fall evenly, from that of MOST_NOISE towards 0; every image is cut to [-1, 1]. fresh(i) gives the noise
    before leap i = 1, 2, …, like x_T. Calls: `steps`. Raises ValueError for steps < 1.
    """
    if steps < 1:
        raise ValueError(f"need steps >= 1, found {steps}")
    space, start = Space(noise_fn, schedule, data=True), schedule.time_of(-torch.tensor(MOST_NOISE).double().log())
    x = x_T
    for i in range(steps):
        t = start * (1 - i / steps)
        if i:
            x = float(schedule.alpha(t)) * x + float(schedule.sigma(t)) * fresh(i)
        x = space.predict(x, t).clamp(-1, 1)
    return x
