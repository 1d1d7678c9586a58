"""Guidance against its closed form: a push away from a weaker prediction, at the times that are asked for."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from diffdistill.config import Guidance, Solver
from diffdistill.diffusion import sampling
from diffdistill.diffusion.denoiser import Counting, Denoiser, Wrapper
from diffdistill.diffusion.guidance import Guided, Unlabelled
from diffdistill.diffusion.labels import LabelSpace
from diffdistill.diffusion.schedule import VPSchedule
from tests.diffusion.models import COUNTS, MODELS, busy, denoiser

SPACE = LabelSpace(num_classes=3, null_label=True)


class Predicting(Wrapper):
    """A denoiser that predicts what a function says."""

    def __init__(self, predict: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__(denoiser(labels=SPACE))
        self._predict = predict

    def predict_noise(self, x: Tensor, t: Tensor, y: Tensor | None) -> Tensor:
        return self._predict(x, t)


def constant(value: float) -> Denoiser:
    return Predicting(lambda x, t: torch.full_like(x, value))


def at(denoiser: Denoiser, time: float) -> float:
    x, y = torch.zeros(2, 1, 2, 2), torch.zeros(2, dtype=torch.int64)
    return float(denoiser.predict_noise(x, torch.full((2,), time), y).unique())


@pytest.mark.parametrize(("weight", "expected"), [(0.0, 2.0), (1.0, 5.0), (1.5, 6.5), (3.0, 11.0)])
def test_the_push_is_linear_in_the_weight(weight: float, expected: float) -> None:
    assert at(Guided(constant(5.0), Guidance(weight=weight), constant(2.0)), 0.5) == pytest.approx(expected)


def test_outside_of_the_interval_nothing_is_pushed_or_computed() -> None:
    weaker = Counting(constant(2.0))
    guided = Guided(constant(5.0), Guidance(weight=2.0, interval=(0.25, 0.5)), weaker)
    assert [at(guided, time) for time in (0.1, 0.25, 0.4, 0.5, 0.6)] == [5, 8, 8, 8, 5]
    assert weaker.calls == 3


@pytest.mark.parametrize("space", [SPACE, LabelSpace(num_classes=3, subclasses=COUNTS, null_label=True)])
@pytest.mark.parametrize("kind", MODELS)
def test_without_the_label_is_the_null_label(kind: str, space: LabelSpace) -> None:
    network = busy(MODELS[kind], space)
    x, t = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.full((4,), 0.4)
    y = torch.arange(4) % 3
    with torch.no_grad():
        found = Unlabelled(network).predict_noise(x, t, y)
        assert torch.equal(found, network(x, t, torch.full((4,), space.size - 1)))
        assert not torch.equal(found, network(x, t, y))


def test_a_denoiser_without_a_null_label_cannot_guide_itself() -> None:
    with pytest.raises(ValueError, match="no null label"):
        Guided(denoiser(), Guidance(weight=2))


def test_the_weaker_must_be_of_the_same_images() -> None:
    with pytest.raises(ValueError, match="another schedule or other images"):
        Guided(denoiser(), Guidance(weight=2), denoiser(image_shape=(3, 8, 8)))


def test_guidance_samples_the_tilted_normal() -> None:
    """Two normals of one spread, means 0.4 with the label and 0 without: with weight w the mean is w times as far.

    The guided score is that of the normal with mean w 0.4 (linear in the mean for equal spreads), at every time.
    """
    schedule, spread = VPSchedule(), 0.1

    def normal(mean: float) -> Denoiser:
        def noise(x: Tensor, t: Tensor) -> Tensor:
            alpha, sigma = (factor(t)[:, None, None, None] for factor in (schedule.alpha, schedule.sigma))
            return sigma * (x - alpha * mean) / ((alpha * spread) ** 2 + sigma**2)

        return Predicting(noise)

    for weight in (1.0, 2.0):
        guided = Guided(normal(0.4), Guidance(weight=weight), normal(0.0))
        images = sampling.sample(
            guided, Solver(nfe=30, order=3), torch.arange(2000) % 3, seed=0, first=0, device=torch.device("cpu")
        )
        values = images.float() / 127.5 - 1
        assert float(values.mean()) == pytest.approx(0.4 * weight, abs=0.01)
        assert float(values.std()) == pytest.approx(spread, rel=0.05)
