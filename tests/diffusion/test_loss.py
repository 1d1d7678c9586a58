"""The loss against its formula, for every prediction type."""

import pytest
import torch
from torch import Tensor, nn

from diffdistill import config
from diffdistill.diffusion import loss
from diffdistill.diffusion.loss import denoising_loss
from diffdistill.diffusion.prediction import to_noise
from diffdistill.diffusion.schedule import VPSchedule
from diffdistill.runtime.seeds import generator
from tests.diffusion.models import LABELS, MODELS, busy

SCHEDULE = VPSchedule()


class Half(nn.Module):
    """Half of the noised image, and the labels: shows what the loss hands to its network."""

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        return x / 2 + (0 if y is None else y[:, None, None, None])


def test_one_mean_square_per_image() -> None:
    draws = torch.Generator().manual_seed(0)
    x0, noise = torch.randn(2, 3, 1, 4, 4, generator=draws, dtype=torch.float64)
    t, y = torch.tensor([0.0, 0.4, 1.0], dtype=torch.float64), torch.tensor([0, 1, 2])
    found = denoising_loss(Half(), VPSchedule(), x0, t, noise, y)
    for i in range(3):
        log_alpha = -(19.9 * t[i] ** 2 / 4 + 0.1 * t[i] / 2)
        x_t = log_alpha.exp() * x0[i] + (1 - (2 * log_alpha).exp()).sqrt() * noise[i]
        assert float(found[i]) == pytest.approx(float((x_t / 2 + i - noise[i]).square().mean()), rel=1e-9)


@pytest.mark.parametrize("time", [-0.01, 1.01, 999.0, float("nan")])
def test_times_outside_of_0_to_1_are_refused(time: float) -> None:
    x0 = torch.zeros(2, 1, 2, 2)
    with pytest.raises(ValueError, match=r"times must be in \[0, 1\]"):
        denoising_loss(Half(), VPSchedule(), x0, torch.tensor([0.5, time]), x0)


@pytest.mark.parametrize("prediction", ["noise", "x0", "v"])
def test_targets(prediction: config.Prediction) -> None:
    """Salimans and Ho 2022: the network's output is compared with eps, x_0, or alpha eps - sigma x_0."""
    draws = torch.Generator().manual_seed(0)
    x0, noise = torch.randn(2, 3, 1, 4, 4, generator=draws, dtype=torch.float64)
    t, y = torch.tensor([0.1, 0.4, 1.0], dtype=torch.float64), torch.tensor([0, 1, 2])
    found = denoising_loss(Half(), SCHEDULE, x0, t, noise, y, prediction=prediction)
    for i in range(3):
        log_alpha = -(19.9 * t[i] ** 2 / 4 + 0.1 * t[i] / 2)
        alpha, sigma = log_alpha.exp(), (1 - (2 * log_alpha).exp()).sqrt()
        wanted = {"noise": noise[i], "x0": x0[i], "v": alpha * noise[i] - sigma * x0[i]}[prediction]
        output = (alpha * x0[i] + sigma * noise[i]) / 2 + i
        assert float(found[i]) == pytest.approx(float((output - wanted).square().mean()), rel=1e-9)


@pytest.mark.parametrize("prediction", ["x0", "v"])
def test_weighted_losses_of_all_prediction_types_are_one(prediction: config.Prediction) -> None:
    """Hang et al., section 3.4: each weight gives the same loss of x_0, min(SNR, gamma) |x_0 - predicted|^2."""
    draws = torch.Generator().manual_seed(0)
    x0, noise, output = torch.randn(3, 5, 1, 4, 4, generator=draws, dtype=torch.float64)
    t = torch.tensor([0.02, 0.1, 0.2, 0.5, 0.9], dtype=torch.float64)

    def as_noise(x: Tensor, t: Tensor, y: Tensor | None) -> Tensor:
        return to_noise(prediction, output, x, t, SCHEDULE)

    own = denoising_loss(lambda x, t, y: output, SCHEDULE, x0, t, noise, prediction=prediction)
    of_noise = denoising_loss(as_noise, SCHEDULE, x0, t, noise)
    weighted = own * loss.min_snr_weight(SCHEDULE, t, prediction)
    assert torch.allclose(weighted, of_noise * loss.min_snr_weight(SCHEDULE, t), rtol=1e-8)


def test_min_snr_weights() -> None:
    ratios = [1e6, 50.0, 5.0, 1.0, 1e-4]
    t = SCHEDULE.time_of(0.5 * torch.tensor(ratios, dtype=torch.float64).log())
    expected = {
        "noise": [5e-6, 0.1, 1, 1, 1],
        "x0": [5, 5, 5, 1, 1e-4],
        "v": [5 / (1e6 + 1), 5 / 51, 5 / 6, 0.5, 1e-4 / (1 + 1e-4)],
    }
    predictions: tuple[config.Prediction, ...] = ("noise", "x0", "v")
    for prediction in predictions:
        assert loss.min_snr_weight(SCHEDULE, t, prediction).tolist() == pytest.approx(expected[prediction], rel=1e-5)
    clean = [float(loss.min_snr_weight(SCHEDULE, torch.zeros(1), prediction)) for prediction in predictions]
    assert clean == [0, 5, 0]


def test_logit_normal_times() -> None:
    uniform = (torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000
    logits = torch.logit(loss.logit_normal_times(uniform, -0.5, 1.3))
    assert float(logits.mean()) == pytest.approx(-0.5, abs=1e-6) and float(logits.std()) == pytest.approx(1.3, rel=1e-3)
    assert float(logits.median()) == pytest.approx(-0.5, abs=1e-3)
    extremes = loss.logit_normal_times(torch.tensor([0.0, 1 - 2**-24]), 0.0, 3.0)
    assert bool(((extremes >= 0) & (extremes <= 1)).all())


@pytest.mark.parametrize("kind", MODELS)
def test_losses_at_times_depend_on_neither_batch_nor_company(kind: str) -> None:
    network = busy(MODELS[kind])
    images = torch.randint(256, (7, 1, 8, 8), generator=generator("losses"), dtype=torch.uint8)

    def of(count: int, batch_size: int) -> Tensor:
        return loss.losses_at(
            network, images[:count], LABELS[:count], times=(0.1, 0.5), noises=3, seed=0, batch_size=batch_size,
            device=torch.device("cpu"),
        )  # fmt: skip

    assert of(7, 7).shape == (7, 2)
    assert torch.allclose(of(7, 7), of(7, 2), rtol=1e-5) and torch.allclose(of(7, 7)[:3], of(3, 3), rtol=1e-5)
