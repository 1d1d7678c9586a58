"""The training objective: which error is taken, at which times, and how much each counts."""

from collections.abc import Callable

import torch
from torch import Tensor

from diffdistill.diffusion.schedule import VPSchedule

MIN_SNR_GAMMA = 5.0
"""The value that Hang et al. advise."""


def noise_prediction_loss(
    network: Callable[..., Tensor],
    schedule: VPSchedule,
    x0: Tensor,
    t: Tensor,
    noise: Tensor,
    y: Tensor | None = None,
) -> Tensor:
    """Mean square error of the predicted noise, (B,): Ho et al. 2020 (arXiv 2006.11239), equation 14.

    x0, noise: (B, C, H, W), x0 in [-1, 1]; t: (B,) in [0, 1]; y: (B,) int64.
    Raises ValueError if a time on the CPU is outside [0, 1], as 0..999 would be.
    """
    # true of NaN too; on a GPU the check would wait for all that is queued before it
    if t.device.type == "cpu" and not bool(((t >= 0) & (t <= 1)).all()):
        raise ValueError(f"times must be in [0, 1], found {float(t.min())} to {float(t.max())}")
    alpha_t, sigma_t = (factor(t)[:, None, None, None] for factor in (schedule.alpha, schedule.sigma))
    x_t = alpha_t * x0 + sigma_t * noise
    error = network(x_t, t, y) - noise
    return error.square().flatten(1).mean(1)


def min_snr_weight(schedule: VPSchedule, t: Tensor) -> Tensor:
    """min(SNR_t, gamma) / SNR_t, (B,) in 0..1: Hang et al. 2023 (arXiv 2303.09556), section 3.4, noise prediction.

    It takes weight from faint noise, on which a loss of the predicted noise spends most of it.
    """
    snr = (schedule.alpha(t) / schedule.sigma(t)).square()
    return torch.clamp(MIN_SNR_GAMMA / snr, max=1.0)


def logit_normal_times(uniform: Tensor, mean: float, std: float) -> Tensor:
    """Times whose log(t / (1 - t)) is normal, from uniform draws in [0, 1), of their shape and dtype.

    Esser et al. 2024 (arXiv 2403.03206), equation 19.
    """
    return torch.sigmoid(mean + std * torch.special.ndtri(uniform))
