"""The training objective."""

from torch import Tensor, nn

from diffdistill.diffusion.schedule import VPSchedule


def noise_prediction_loss(
    network: nn.Module, schedule: VPSchedule, x0: Tensor, t: Tensor, noise: Tensor, y: Tensor | None = None
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
    error: Tensor = network(x_t, t, y) - noise
    return error.square().flatten(1).mean(1)
