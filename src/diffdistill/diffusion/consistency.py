"""Easy consistency tuning (Geng et al. 2024, arXiv 2406.14548) of a denoiser.

The consistency function is f(x_t, t) = (x_t - sigma_t eps(x_t, t)) / alpha_t: before tuning the mean of all images that
x_t may come from, at t = 0 the identity. Tuning makes it agree along one noise: f(x_t, t) = f(x_r, r) with r < t, from
r = 0, which is diffusion training, to r near t. Noise is measured by sigma / alpha.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from diffdistill.config import Prediction, Tune
from diffdistill.diffusion.loss import Output
from diffdistill.diffusion.prediction import factors, to_noise
from diffdistill.diffusion.schedule import VPSchedule
from diffdistill.diffusion.solvers.few_step import MOST_NOISE
from diffdistill.diffusion.training.objective import Objective

LEAST_NOISE = 0.01
"""Below it an image counts as clean; a byte's step is 0.008."""


def consistency_fn(
    predict_noise: Callable[..., Tensor], schedule: VPSchedule, x_t: Tensor, t: Tensor, y: Tensor | None
) -> Tensor:
    """f(x_t, t), like x_t (B, C, H, W); t: (B,)."""
    alpha_t, sigma_t = factors(schedule, t)
    return (x_t - sigma_t * predict_noise(x_t, t, y)) / alpha_t


def nearer(noise: Tensor, stage: int) -> Tensor:
    """The noise (B,) of the pair's other time: noise (1 - (1 + 8 sigmoid(-noise)) / 2^(stage + 1)), at least 0.

    The source's mapping function with its q = 2, k = 8 and b = 1; stage: 0, 1, ….
    """
    apart: Tensor = (1 + 8 * torch.sigmoid(-noise)) / 2.0 ** (stage + 1)
    return (noise * (1 - apart)).clamp(min=0)


def pseudo_huber(difference: Tensor) -> Tensor:
    """sqrt(|d|^2 + c^2) - c over all numbers of an image, (B,): Song and Dhariwal 2023 (arXiv 2310.14189), equation 7.

    Their c = 0.00054 sqrt(numbers).
    """
    squares = difference.flatten(1).square().sum(1)
    c = 0.00054 * math.sqrt(difference[0].numel())
    return (squares + c**2).sqrt() - c


def tuning(tune: Tune, *, schedule: VPSchedule, prediction: Prediction) -> Objective:
    """The objective for `training.train`; the noise is log-normal, clamped to LEAST_NOISE .. MOST_NOISE."""

    def losses(output: Output, x0: Tensor, uniform: Tensor, noise: Tensor, y: Tensor, iteration: int) -> Tensor:
        stage = iteration * tune.stages // tune.iterations
        far = torch.exp(tune.noise_mean + tune.noise_std * torch.special.ndtri(uniform)).clamp(LEAST_NOISE, MOST_NOISE)
        near = nearer(far, stage)
        near = torch.where(near < LEAST_NOISE, 0, near)

        def predict_noise(x: Tensor, t: Tensor, y: Tensor) -> Tensor:
            return to_noise(prediction, output(x, t, y), x, t, schedule)

        def mapped(amount: Tensor) -> Tensor:
            t = schedule.time_of(-amount.log())
            alpha_t = schedule.alpha(t)[:, None, None, None]
            return consistency_fn(predict_noise, schedule, alpha_t * (x0 + amount[:, None, None, None] * noise), t, y)

        with torch.no_grad():
            target = torch.where(near[:, None, None, None] > 0, mapped(near.clamp(min=LEAST_NOISE)).clamp(-1, 1), x0)
        return pseudo_huber(mapped(far) - target) / (far - near)

    return losses
