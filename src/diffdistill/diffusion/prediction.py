"""What a network's output stands for: the noise, the image, or v; and how one follows from another.

With x_t = alpha_t x_0 + sigma_t eps and v = alpha_t eps - sigma_t x_0 (Salimans and Ho 2022, arXiv 2202.00512, appendix
D), all conversions are exact: eps = (x_t - alpha_t x_0) / sigma_t = sigma_t x_t + alpha_t v.
"""

from torch import Tensor

from diffdistill.config import Prediction
from diffdistill.diffusion.schedule import VPSchedule


def factors(schedule: VPSchedule, t: Tensor) -> tuple[Tensor, Tensor]:
    """alpha_t and sigma_t, each (B, 1, 1, 1), for times (B,)."""
    return schedule.alpha(t)[:, None, None, None], schedule.sigma(t)[:, None, None, None]


def to_noise(prediction: Prediction, output: Tensor, x_t: Tensor, t: Tensor, schedule: VPSchedule) -> Tensor:
    """The predicted noise, like x_t (B, C, H, W); t: (B,), above 0 for `x0`."""
    if prediction == "noise":
        return output
    alpha_t, sigma_t = factors(schedule, t)
    if prediction == "x0":
        return (x_t - alpha_t * output) / sigma_t
    return sigma_t * x_t + alpha_t * output


def target(prediction: Prediction, x0: Tensor, noise: Tensor, t: Tensor, schedule: VPSchedule) -> Tensor:
    """What the output should be for a clean image and its noise, like x0 (B, C, H, W)."""
    if prediction == "noise":
        return noise
    if prediction == "x0":
        return x0
    alpha_t, sigma_t = factors(schedule, t)
    return alpha_t * noise - sigma_t * x0
