"""A denoiser predicts the noise whatever its network's output stands for, and its wrappers have its facts."""

import pytest
import torch
from torch import Tensor

from diffdistill import config
from diffdistill.diffusion.denoiser import Counting, Denoiser, NetworkDenoiser
from diffdistill.diffusion.guidance import Guided
from diffdistill.diffusion.labels import LabelSpace
from diffdistill.diffusion.running import Compiled, HalfPrecision
from diffdistill.diffusion.schedule import VPSchedule
from tests.diffusion.models import MODELS, busy

SPACE = LabelSpace(num_classes=3, null_label=True)


def inputs() -> tuple[Tensor, Tensor, Tensor]:
    draws = torch.Generator().manual_seed(0)
    return torch.randn(4, 1, 8, 8, generator=draws), torch.full((4,), 0.4), torch.arange(4) % 3


@pytest.mark.parametrize("kind", MODELS)
def test_the_output_is_converted(kind: str) -> None:
    x, t, y = inputs()
    outputs, noises = {}, {}
    predictions: tuple[config.Prediction, ...] = ("noise", "x0", "v")
    for prediction in predictions:
        denoiser = busy(MODELS[kind].changed(prediction=prediction))
        with torch.no_grad():
            outputs[prediction], noises[prediction] = denoiser(x, t, y), denoiser.predict_noise(x, t, y)
    assert torch.equal(outputs["noise"], outputs["v"]) and torch.equal(outputs["noise"], noises["noise"])
    alpha, sigma = float(VPSchedule().alpha(t[0])), float(VPSchedule().sigma(t[0]))
    assert torch.allclose(noises["x0"], (x - alpha * outputs["x0"]) / sigma, atol=1e-5)
    assert torch.allclose(noises["v"], sigma * x + alpha * outputs["v"], atol=1e-5)


def wrappers(inner: NetworkDenoiser) -> list[Denoiser]:
    return [Counting(inner), Guided(inner, config.Guidance(weight=2)), HalfPrecision(inner), Compiled(inner, inner)]


@pytest.mark.parametrize("kind", MODELS)
def test_wrappers_have_the_facts_of_what_they_wrap(kind: str) -> None:
    inner = busy(MODELS[kind].changed(prediction="v"), SPACE)
    for wrapper in wrappers(inner):
        assert (wrapper.schedule, wrapper.prediction, wrapper.labels, wrapper.image_shape) == (
            inner.schedule, "v", SPACE, (1, 8, 8),
        )  # fmt: skip


@pytest.mark.parametrize("kind", MODELS)
def test_wrappers_nest_in_any_order(kind: str) -> None:
    inner, (x, t, y) = busy(MODELS[kind], SPACE), inputs()
    guidance = config.Guidance(weight=2, interval=(0.3, 0.5))
    with torch.inference_mode():
        counted = Counting(Guided(inner, guidance))
        inside = Counting(inner)
        other = Guided(inside, guidance)
        assert torch.equal(counted.predict_noise(x, t, y), other.predict_noise(x, t, y))
    assert (counted.calls, inside.calls) == (1, 2)
