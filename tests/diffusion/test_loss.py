"""The loss against its formula."""

import pytest
import torch
from torch import Tensor, nn

from diffdistill.diffusion.loss import noise_prediction_loss
from diffdistill.diffusion.schedule import VPSchedule


class Half(nn.Module):
    """Half of the noised image, and the labels: shows what the loss hands to its network."""

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        return x / 2 + (0 if y is None else y[:, None, None, None])


def test_one_mean_square_per_image() -> None:
    draws = torch.Generator().manual_seed(0)
    x0, noise = torch.randn(2, 3, 1, 4, 4, generator=draws, dtype=torch.float64)
    t, y = torch.tensor([0.0, 0.4, 1.0], dtype=torch.float64), torch.tensor([0, 1, 2])
    found = noise_prediction_loss(Half(), VPSchedule(), x0, t, noise, y)
    for i in range(3):
        log_alpha = -(19.9 * t[i] ** 2 / 4 + 0.1 * t[i] / 2)
        x_t = log_alpha.exp() * x0[i] + (1 - (2 * log_alpha).exp()).sqrt() * noise[i]
        assert float(found[i]) == pytest.approx(float((x_t / 2 + i - noise[i]).square().mean()), rel=1e-9)


@pytest.mark.parametrize("time", [-0.01, 1.01, 999.0, float("nan")])
def test_times_outside_of_0_to_1_are_refused(time: float) -> None:
    x0 = torch.zeros(2, 1, 2, 2)
    with pytest.raises(ValueError, match=r"times must be in \[0, 1\]"):
        noise_prediction_loss(Half(), VPSchedule(), x0, torch.tensor([0.5, time]), x0)
