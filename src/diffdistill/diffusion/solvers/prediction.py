"""What the exponential solvers share: a step's coefficients for noise or data prediction, and the phi functions.

With (a, b, g) = (alpha, sigma, h) for noise and (sigma, alpha, -h) for data, where h = lambda_t - lambda_s, a
first-order step from s to t is x_t = a_t / a_s x_s - b_t expm1(g) m_s; m is the model's prediction.
"""

import math
from collections.abc import Callable

from torch import Tensor

from diffdistill.diffusion.schedule import VPSchedule

NoiseFn = Callable[[Tensor, Tensor], Tensor]
"""(x (B, C, H, W), t (B,)) -> predicted noise (B, C, H, W)"""


class Space:
    """Noise or data prediction, and the coefficients of a step in it; holds no state between steps."""

    def __init__(self, noise_fn: NoiseFn, schedule: VPSchedule, data: bool) -> None:
        self.noise_fn, self.schedule, self.data = noise_fn, schedule, data

    def predict(self, x: Tensor, t: Tensor) -> Tensor:
        noise = self.noise_fn(x, t.to(x).expand(len(x)))
        if not self.data:
            return noise
        return (x - float(self.schedule.sigma(t)) * noise) / float(self.schedule.alpha(t))

    def step(self, s: Tensor, t: Tensor) -> tuple[float, float, float]:
        """(a_t / a_s, b_t, g) of a step from time s to time t."""
        h = float(self.schedule.half_logsnr(t) - self.schedule.half_logsnr(s))
        alpha_t, sigma_t = float(self.schedule.alpha(t)), float(self.schedule.sigma(t))
        if self.data:
            return sigma_t / float(self.schedule.sigma(s)), alpha_t, -h
        return alpha_t / float(self.schedule.alpha(s)), sigma_t, h


def phi(g: float) -> tuple[float, float, float, float]:
    """phi_1 = e^g - 1, phi_2 = phi_1 / g - 1, phi_3 = phi_2 / g - 1/2, phi_4 = phi_3 / g - 1/6."""
    phi_1 = math.expm1(g)
    phi_2 = phi_1 / g - 1
    phi_3 = phi_2 / g - 0.5
    return phi_1, phi_2, phi_3, phi_3 / g - 1 / 6
