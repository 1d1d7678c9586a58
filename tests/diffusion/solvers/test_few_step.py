"""Sampling with a consistency function."""

import pytest
import torch
from torch import Tensor

from diffdistill.diffusion import solvers
from diffdistill.diffusion.solvers.few_step import MOST_NOISE
from tests.diffusion.test_consistency import MEAN, SCHEDULE, SPREAD, flow, optimal


@pytest.mark.parametrize("nfe", [1, 2, 5])
def test_the_flow_samples_the_distribution(nfe: int) -> None:
    draws = torch.Generator().manual_seed(0)
    x = torch.randn(4000, 1, 2, 2, generator=draws, dtype=torch.float64)
    images = solvers.few_step(
        flow, x, SCHEDULE, nfe=nfe, fresh=lambda _: torch.randn(x.shape, generator=draws, dtype=torch.float64)
    )
    # at first, noise alone stands for a noised image: off by 1/MOST_NOISE of the image
    assert float(images.mean()) == pytest.approx(MEAN, abs=SPREAD * MEAN / MOST_NOISE * 2 + 0.01)
    assert float(images.std()) == pytest.approx(SPREAD, rel=0.03)


def test_untuned_weights_give_the_mean_image() -> None:
    draws = torch.Generator().manual_seed(0)
    x = torch.randn(4000, 1, 2, 2, generator=draws, dtype=torch.float64)
    images = solvers.few_step(optimal, x, SCHEDULE, nfe=1, fresh=lambda _: x)
    assert float(images.std()) < 0.1 * SPREAD  # untuned: hardly more than the mean image


def test_every_evaluation_is_one_call_at_a_falling_time() -> None:
    seen: list[float] = []

    def predict(x: Tensor, t: Tensor) -> Tensor:
        seen.append(float(t[0]))
        return flow(x, t)

    x = torch.zeros(2, 1, 2, 2)
    solvers.few_step(predict, x, SCHEDULE, nfe=3, fresh=lambda _: x)
    assert seen == pytest.approx([seen[0], seen[0] * 2 / 3, seen[0] / 3])
    ratio = SCHEDULE.sigma(torch.tensor(seen[0])) / SCHEDULE.alpha(torch.tensor(seen[0]))
    assert float(ratio) == pytest.approx(MOST_NOISE, rel=1e-4)
    with pytest.raises(ValueError, match="nfe >= 1"):
        solvers.few_step(predict, x, SCHEDULE, nfe=0, fresh=lambda _: x)
