"""The training objective."""

from torch import Tensor, nn

from diffdistill.diffusion.schedule import VPSchedule


def noise_prediction_loss(
    network: nn.Module, schedule: VPSchedule, x0: Tensor, t: Tensor, noise: Tensor, y: Tensor | None = None
) -> Tensor:
    """Mean square error of the predicted noise, (B,): Ho et al. 2020 (arXiv 2006.11239), equation 14.

    x0, noise: (B, C, H, W), x0 in [-1, 1]; t: (B,) in [0, 1]; y: (B,) int64.
    """
    alpha_t, sigma_t = (factor(t)[:, None, None, None] for factor in (schedule.alpha, schedule.sigma))
    x_t = alpha_t * x0 + sigma_t * noise
    error: Tensor = network(x_t, t, y) - noise
    return error.square().flatten(1).mean(1)
