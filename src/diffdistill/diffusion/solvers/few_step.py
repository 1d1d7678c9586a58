"""Few-step sampling with a tuned denoiser: see `diffdistill.diffusion.consistency`."""

from collections.abc import Callable

import torch
from torch import Tensor

from diffdistill.diffusion.schedule import VPSchedule
from diffdistill.diffusion.solvers.prediction import NoiseFn, Space

MOST_NOISE = 12.0
"""sigma / alpha of the first evaluation.

The consistency function multiplies an error of the predicted noise by it, so it cannot be that of time 1, which is 152.
Noise alone stands for a noised image here: their pixels differ by 1/12 of the image.
"""


def few_step(
    noise_fn: NoiseFn, x_T: Tensor, schedule: VPSchedule, *, nfe: int, fresh: Callable[[int], Tensor]
) -> Tensor:
    """Map to the image, add less noise than before, map again: Song et al. 2023 (arXiv 2303.01469), algorithm 1.

    The times fall evenly from that of MOST_NOISE towards 0; every image is clamped to [-1, 1]. fresh(i) gives the noise
    before evaluation i = 1, 2, …, like x_T. Calls: `nfe`. Raises ValueError for nfe < 1.
    """
    if nfe < 1:
        raise ValueError(f"need nfe >= 1, found {nfe}")
    space, start = Space(noise_fn, schedule, data=True), schedule.time_of(-torch.tensor(MOST_NOISE).double().log())
    x = x_T
    for i in range(nfe):
        t = start * (1 - i / nfe)
        if i:
            x = float(schedule.alpha(t)) * x + float(schedule.sigma(t)) * fresh(i)
        x = space.predict(x, t).clamp(-1, 1)
    return x
