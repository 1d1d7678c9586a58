"""The consistency function: exact for a known distribution, the denoised mean before tuning, a DDIM step to time 0."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from diffdistill import config
from diffdistill.diffusion import consistency, solvers, training
from diffdistill.diffusion.schedule import VPSchedule
from tests.diffusion.models import IMAGES, LABELS, MODELS, RECIPE, busy, fresh

SCHEDULE, MEAN, SPREAD = VPSchedule(), 0.3, 0.2
TUNE = config.Tune(iterations=100, batch_size=1, stages=10, noise_mean=math.log(0.1), noise_std=1.0)


def optimal(x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
    """The noise's mean given x_t, where images are normal with MEAN and SPREAD in every pixel."""
    alpha, sigma = (factor(t)[:, None, None, None] for factor in (SCHEDULE.alpha, SCHEDULE.sigma))
    return sigma * (x - alpha * MEAN) / ((alpha * SPREAD) ** 2 + sigma**2)


def flow(x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
    """The noise prediction whose consistency function is the end of the same distribution's probability flow."""
    alpha, sigma = (factor(t)[:, None, None, None] for factor in (SCHEDULE.alpha, SCHEDULE.sigma))
    end = MEAN + SPREAD * (x - alpha * MEAN) / ((alpha * SPREAD) ** 2 + sigma**2).sqrt()
    return (x - alpha * end) / sigma


@pytest.fixture(params=MODELS)
def network(request: pytest.FixtureRequest) -> Callable[..., Tensor]:
    return busy(MODELS[request.param])


def noised(count: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    draws = torch.Generator().manual_seed(0)
    return torch.randn(count, 1, 8, 8, generator=draws), torch.linspace(0.1, 0.6, count), torch.arange(count) % 3


def test_before_tuning_it_is_the_denoised_mean() -> None:
    x, t, _ = noised()
    alpha, sigma = (factor(t)[:, None, None, None] for factor in (SCHEDULE.alpha, SCHEDULE.sigma))
    mean = MEAN + alpha * SPREAD**2 / ((alpha * SPREAD) ** 2 + sigma**2) * (x - alpha * MEAN)
    assert torch.allclose(consistency.consistency_fn(optimal, SCHEDULE, x, t, None), mean, atol=1e-5)


def test_before_tuning_it_is_a_step_of_ddim_to_time_0(network: Callable[..., Tensor]) -> None:
    x, _, y = noised()
    t = torch.full((6,), 0.7)
    # DDIM's step from t to a time whose sigma is nothing: x_0 = (x_t - sigma_t eps) / alpha_t
    with torch.no_grad():
        alpha, sigma = float(SCHEDULE.alpha(t[0])), float(SCHEDULE.sigma(t[0]))
        expected = (x - sigma * network(x, t, y)) / alpha
        found = consistency.consistency_fn(network, SCHEDULE, x, t, y)
        # and the published solver's of first order, from time 1 to one that is nearly 0
        ones, end = torch.ones(6), 1e-6
        ddim = solvers.solve(lambda x, t: network(x, t, y), x, SCHEDULE, config.Solver(nfe=1, order=1, t_end=end))
        mapped = consistency.consistency_fn(network, SCHEDULE, x, ones, y)
    assert torch.allclose(found, expected, atol=1e-5)
    assert torch.allclose(ddim, mapped, rtol=1e-2, atol=0.05)


def test_without_noise_it_is_the_identity(network: Callable[..., Tensor]) -> None:
    x, _, y = noised()
    with torch.no_grad():
        assert torch.equal(consistency.consistency_fn(network, SCHEDULE, x, torch.zeros(6), y), x)
        assert torch.allclose(consistency.consistency_fn(network, SCHEDULE, x, torch.full((6,), 1e-6), y), x, atol=1e-2)


def test_the_pair_comes_nearer_by_half_each_time() -> None:
    noise = torch.tensor([0.01, 0.5, 2.0, 12.0, 1e6])
    gaps = torch.stack([noise - consistency.nearer(noise, stage) for stage in range(3, 10)])
    assert torch.allclose(gaps[:-1] / gaps[1:], torch.tensor(2.0), rtol=1e-2)
    assert float(consistency.nearer(noise, 0)[4]) == pytest.approx(0.5e6)
    assert float(consistency.nearer(noise, 0)[0]) == 0  # at first, little noise is learnt from the image itself
    assert bool((consistency.nearer(noise, 20) < noise).all())


def test_the_distance_is_quadratic_near_0_and_linear_far_away() -> None:
    c = 0.00054 * 8
    near, far = torch.full((1, 1, 8, 8), 1e-5), torch.full((1, 1, 8, 8), 3.0)
    assert float(consistency.pseudo_huber(near.double())) == pytest.approx(64e-10 / (2 * c), rel=1e-3)
    assert float(consistency.pseudo_huber(far)) == pytest.approx(24 - c)


def push(network: Callable[..., Tensor], noise: float, stage: int) -> float:
    """How much the pairs ask the image of this noise to spread the images more, as a share of what they ask at r = 0.

    The slope on x_t of what a pair asks for: 0 where tuning has come to rest.
    """
    draws = torch.Generator().manual_seed(1)
    x0 = MEAN + SPREAD * torch.randn(200_000, 1, 1, 1, generator=draws, dtype=torch.float64)
    eps = torch.randn(x0.shape, generator=draws, dtype=torch.float64)
    far = torch.full((len(x0),), noise, dtype=torch.float64)
    near = consistency.nearer(far, stage)

    def mapped(amount: Tensor) -> tuple[Tensor, Tensor]:
        t = SCHEDULE.time_of(-amount.log())
        x = SCHEDULE.alpha(t)[:, None, None, None] * (x0 + amount[:, None, None, None] * eps)
        return consistency.consistency_fn(network, SCHEDULE, x, t, None), x

    (of_far, x), (of_near, _) = mapped(far), mapped(near)
    x = x - x.mean()
    return float(((of_near - of_far) * x).mean() / ((x0 - x0.mean()) * x).mean())


def test_tuning_comes_to_rest_at_the_flow() -> None:
    # as the two times of a pair approach, what it asks goes with their distance, and at the flow with its square
    for noise in (0.5, 2.0):
        at_flow, at_mean = ([abs(push(network, noise, stage)) for stage in (5, 8)] for network in (flow, optimal))
        assert at_flow[1] < 0.1 * at_mean[1]
        assert at_mean[0] / at_mean[1] == pytest.approx(8, rel=0.3)
    assert push(optimal, 2.0, 8) > 0  # it asks for more spread than the mean has


def test_the_first_pairs_are_diffusion_training() -> None:
    """Where r = 0 the loss is that of the image itself, over the noise."""
    draws = torch.Generator().manual_seed(1)
    x0, noise = torch.rand(2, 500, 1, 2, 2, generator=draws, dtype=torch.float64)
    uniform = torch.full((500,), 0.5, dtype=torch.float64)  # the median: a noise of 0.1
    objective = consistency.tuning(TUNE, schedule=SCHEDULE, prediction="noise")
    found = objective(optimal, x0, uniform, noise, torch.zeros(500), 9)
    t = SCHEDULE.time_of(-torch.full((500,), 0.1, dtype=torch.float64).log())
    x_t = SCHEDULE.alpha(t)[:, None, None, None] * (x0 + 0.1 * noise)
    distance = consistency.pseudo_huber(consistency.consistency_fn(optimal, SCHEDULE, x_t, t, None) - x0)
    assert torch.allclose(found, distance / 0.1)


@pytest.mark.parametrize("prediction", ["noise", "x0", "v"])
@pytest.mark.parametrize("kind", MODELS)
def test_every_network_and_prediction_type_is_tuned(kind: str, prediction: config.Prediction) -> None:
    block = config.Tune(iterations=20, batch_size=8, learning_rate=1e-3)
    state = fresh(RECIPE, MODELS[kind].changed(prediction=prediction))
    before = {name: value.clone() for name, value in state.emas[0].items()}
    objective = consistency.tuning(block, schedule=state.denoiser.schedule, prediction=prediction)
    training.train(state, IMAGES, LABELS, block.recipe(flip=False), until=20, objective=objective)
    assert all(bool(torch.isfinite(value).all()) for value in state.emas[0].values())
    assert any(not torch.equal(before[name], value) for name, value in state.emas[0].items())
