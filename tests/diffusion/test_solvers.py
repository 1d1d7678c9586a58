"""Solvers against closed forms: Gaussian data, whose exact noise prediction is known."""

import math
from itertools import pairwise, product
from typing import Any

import pytest
import torch
from torch import Tensor

from diffdistill.config import Solver
from diffdistill.config.sampling import SOLVERS
from diffdistill.diffusion import solvers
from diffdistill.diffusion.schedule import VPSchedule
from diffdistill.diffusion.solvers import ipndm, unipc

SCHEDULE = VPSchedule()
MEAN, SPREAD = 0.3, 0.5


def exact_noise(x: Tensor, t: Tensor) -> Tensor:
    """E[eps | x_t] for data N(MEAN, SPREAD^2)."""
    alpha_t, sigma_t = (f(t)[:, None, None, None] for f in (SCHEDULE.alpha, SCHEDULE.sigma))
    return sigma_t * (x - alpha_t * MEAN) / (alpha_t**2 * SPREAD**2 + sigma_t**2)


def exact_end(x_T: Tensor, t_end: float) -> Tensor:
    """The probability flow keeps every point's quantile."""
    ends = torch.tensor([1.0, t_end], dtype=torch.float64)
    alpha, sigma = SCHEDULE.alpha(ends), SCHEDULE.sigma(ends)
    spread = (alpha**2 * SPREAD**2 + sigma**2).sqrt()
    return alpha[1] * MEAN + spread[1] / spread[0] * (x_T - alpha[0] * MEAN)


def start(count: int = 4000) -> Tensor:
    return torch.randn(count, 1, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_the_schedule_keeps_variance_and_inverts() -> None:
    t = torch.linspace(1e-4, 1, 50, dtype=torch.float64)
    assert torch.allclose(SCHEDULE.alpha(t) ** 2 + SCHEDULE.sigma(t) ** 2, torch.ones_like(t))
    assert torch.allclose(SCHEDULE.time_of(SCHEDULE.half_logsnr(t)), t, rtol=1e-9)
    assert float(SCHEDULE.alpha(torch.tensor(1.0))) == pytest.approx(torch.exp(torch.tensor(-5.025)).item())


@pytest.mark.parametrize(
    ("nfe", "order", "algorithm", "method"),
    [
        (20, 3, "dpmsolver++", "multistep"),
        (20, 3, "dpmsolver++", "singlestep"),
        (20, 3, "dpmsolver", "multistep"),
        (20, 3, "dpmsolver", "singlestep"),
        (40, 2, "dpmsolver++", "multistep"),
        (100, 2, "dpmsolver", "multistep"),
        (100, 2, "dpmsolver++", "singlestep"),
        (100, 2, "dpmsolver", "singlestep"),
        (20, 3, "unipc", "multistep"),
        (20, 2, "unipc", "multistep"),
        (20, 3, "ipndm", "multistep"),
        (25, 4, "ipndm", "multistep"),  # its weights are those of even steps: the higher order costs some accuracy here
    ],
)
def test_mean_and_spread_within_one_percent(nfe: int, order: int, algorithm: str, method: str) -> None:
    x_T = start()
    x_T = (x_T - x_T.mean()) / x_T.std()  # no sampling error
    x = solvers.solve(exact_noise, x_T, SCHEDULE, Solver(nfe=nfe, order=order, algorithm=algorithm, method=method))
    assert float(x.mean()) == pytest.approx(MEAN, rel=0.01)
    assert float(x.std()) == pytest.approx(SPREAD, rel=0.01)


def test_the_ancestral_sampler_reaches_mean_and_spread() -> None:
    draws = torch.Generator().manual_seed(1)
    x_T = start(20000)
    x = solvers.ancestral(
        exact_noise, x_T, SCHEDULE, nfe=1000, t_end=1e-3,
        fresh=lambda step: torch.randn(x_T.shape, generator=draws, dtype=x_T.dtype),
    )  # fmt: skip
    assert float(x.mean()) == pytest.approx(MEAN, rel=0.02)
    assert float(x.std()) == pytest.approx(SPREAD, rel=0.01)


@pytest.mark.parametrize("method", ["multistep", "singlestep"])
@pytest.mark.parametrize("algorithm", ["dpmsolver", "dpmsolver++"])
def test_the_error_of_order_two_falls_fourfold_when_steps_double(method: str, algorithm: str) -> None:
    x_T = start(50)
    expected = exact_end(x_T, 1e-2)
    errors = [
        float(
            (solvers.solve(exact_noise, x_T, SCHEDULE, Solver(nfe=nfe, order=2, algorithm=algorithm, method=method,
                           t_end=1e-2)) - expected).norm()
        )
        for nfe in (80, 160, 320)
    ]  # fmt: skip
    for coarse, fine in pairwise(errors):
        assert 3.3 < coarse / fine < 5


@pytest.mark.parametrize(
    ("algorithm", "order", "falls"),
    # UniPC's corrector adds one order; weights of even steps are of second order on uneven ones
    [("unipc", 1, 4), ("unipc", 2, 8), ("unipc", 3, 16), ("ipndm", 1, 2), ("ipndm", 2, 4), ("ipndm", 4, 4)],
)
@pytest.mark.parametrize("spacing", ["logsnr", "rho"])
def test_the_error_falls_with_the_algorithms_order(algorithm: str, order: int, falls: int, spacing: str) -> None:
    x_T = start(50)
    coarse, fine = (
        solvers.solve(exact_noise, x_T, SCHEDULE, Solver(nfe=nfe, order=order, algorithm=algorithm, spacing=spacing,
                      t_end=1e-2)) - exact_end(x_T, 1e-2)
        for nfe in (100, 200)
    )  # fmt: skip
    assert float(coarse.norm() / fine.norm()) == pytest.approx(falls, rel=0.1)


@pytest.mark.parametrize(
    ("algorithm", "order", "method"),
    [
        *product(("dpmsolver", "dpmsolver++"), (1, 2, 3), ("multistep", "singlestep")),
        *product(("unipc",), (1, 2, 3), ("multistep",)),
        *product(("ipndm",), (1, 2, 3, 4), ("multistep",)),
    ],
)
@pytest.mark.parametrize("spacing", ["logsnr", "time", "rho"])
def test_exactly_as_many_calls_as_asked(algorithm: str, order: int, method: str, spacing: str) -> None:
    calls = 0

    def counted(x: Tensor, t: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        assert t.shape == (len(x),) and 0 < float(t.min()) <= float(t.max()) <= 1
        return exact_noise(x, t)

    for nfe in range(1, 21):
        calls = 0
        x = solvers.solve(
            counted,
            start(3),
            SCHEDULE,
            Solver(nfe=nfe, order=order, algorithm=algorithm, method=method, spacing=spacing),
        )
        assert calls == nfe
        assert torch.isfinite(x).all()


def test_first_order_is_ddim() -> None:
    x = expected = start(3)
    ends = torch.tensor([1.0, 1e-3], dtype=torch.float64)
    grid = solvers.times(SCHEDULE, ends[0], ends[1], 5, "time")
    for s, t in pairwise(grid):
        noise = exact_noise(expected, s.expand(3))
        x0 = (expected - SCHEDULE.sigma(s) * noise) / SCHEDULE.alpha(s)
        expected = SCHEDULE.alpha(t) * x0 + SCHEDULE.sigma(t) * noise
    for algorithm in ("dpmsolver", "dpmsolver++", "ipndm"):
        found = solvers.solve(exact_noise, x, SCHEDULE, Solver(nfe=5, order=1, algorithm=algorithm, spacing="time"))
        assert torch.allclose(found, expected, rtol=1e-10)


def ddim(x: Tensor, x0: Tensor, s: Tensor, t: Tensor) -> Tensor:
    return SCHEDULE.alpha(t) * x0 + SCHEDULE.sigma(t) / SCHEDULE.sigma(s) * (x - SCHEDULE.alpha(s) * x0)


def exact_image(x: Tensor, t: Tensor) -> Tensor:
    return (x - SCHEDULE.sigma(t) * exact_noise(x, t.expand(len(x)))) / SCHEDULE.alpha(t)


def test_unipc_of_first_order_steps_back_and_takes_the_mean_of_both_predictions() -> None:
    x_T = start(3)
    first, inner, last = solvers.times(SCHEDULE, *torch.tensor([1.0, 1e-3], dtype=torch.float64), 2, "logsnr")
    at_first = exact_image(x_T, first)
    at_inner = exact_image(ddim(x_T, at_first, first, inner), inner)
    corrected = ddim(x_T, (at_first + at_inner) / 2, first, inner)
    expected = ddim(corrected, at_inner, inner, last)
    found = solvers.solve(exact_noise, x_T, SCHEDULE, Solver(nfe=2, order=1, algorithm="unipc"))
    assert torch.allclose(found, expected, rtol=1e-10)
    for order in (1, 2, 3):  # a single step leaves nothing to correct
        found = solvers.solve(exact_noise, x_T, SCHEDULE, Solver(nfe=1, order=order, algorithm="unipc"))
        assert torch.allclose(found, ddim(x_T, at_first, first, last), rtol=1e-10)


@pytest.mark.parametrize("order", [2, 3])
def test_unipcs_weights_integrate_polynomials_exactly(order: int) -> None:
    """Equation 5: sum_j rho_j r_j^(k-1) is the integral of e^(g (1 - u)) u^k over 0..1, scaled by g / (e^g - 1)."""
    nodes, g = [1.0, -0.8, -1.9][:order], -0.7
    rho = unipc.weights(nodes, g)
    for k in range(1, order + 1):
        cells = [(i + 0.5) / 20000 for i in range(20000)]
        integral = sum(math.exp(g * (1 - u)) * u**k for u in cells) / len(cells) * g / math.expm1(g)
        assert sum(weight * node ** (k - 1) for weight, node in zip(rho, nodes, strict=True)) == pytest.approx(integral)


def test_adams_bashforth_integrates_polynomials_exactly() -> None:
    for order, rule in enumerate(ipndm.ADAMS_BASHFORTH, start=1):
        for power in range(order):
            found = sum(weight * (-age) ** power for age, weight in enumerate(rule))
            assert found == pytest.approx(1 / (power + 1))


def test_rho_spacing_is_even_in_the_seventh_root_of_the_noise_to_signal_ratio() -> None:
    grid = solvers.times(SCHEDULE, *torch.tensor([1.0, 1e-3], dtype=torch.float64), 6, "rho")
    root = (SCHEDULE.sigma(grid) / SCHEDULE.alpha(grid)) ** (1 / 7)
    assert grid[[0, -1]].tolist() == [1.0, 1e-3]
    assert torch.allclose(root.diff(), root.diff().mean(), rtol=1e-6)


@pytest.mark.parametrize("algorithm", ["dpmsolver++", "unipc", "ipndm"])
def test_a_solve_remembers_nothing_of_the_one_before(algorithm: str) -> None:
    def run(x: Tensor) -> Tensor:
        return solvers.solve(exact_noise, x, SCHEDULE, Solver(nfe=7, order=3, algorithm=algorithm))

    fresh = run(start(5))
    run(start(9))
    assert torch.equal(fresh, run(start(5)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"nfe": 0}, {"order": 0}, {"order": 4}, {"order": 5, "algorithm": "ipndm"}, {"t_end": 0.0}, {"method": "x"},
        {"spacing": "x"}, {"algorithm": "x"}, {"algorithm": "unipc", "method": "singlestep"}, {"steps": 5},
    ],
)  # fmt: skip
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Solver(**wrong)


def test_every_solver_of_the_config_has_its_function() -> None:
    assert solvers.SOLVERS.keys() == SOLVERS.keys()
    for algorithm in SOLVERS:
        x = start(3)
        found = solvers.solve(exact_noise, x, SCHEDULE, Solver(algorithm=algorithm, nfe=3), fresh=lambda step: start(3))
        assert found.shape == x.shape and bool(torch.isfinite(found).all())
    for algorithm in ("ancestral", "consistency"):
        with pytest.raises(ValueError, match=f"{algorithm} adds noise"):
            solvers.solve(exact_noise, start(3), SCHEDULE, Solver(algorithm=algorithm))


@pytest.mark.parametrize("wrong", [{"nfe": 0}, {"t_end": 0.0}, {"t_end": 1.0}])
def test_wrong_settings_of_the_ancestral_sampler_are_refused(wrong: dict[str, float]) -> None:
    settings: dict[str, Any] = {"nfe": 5, "t_end": 1e-3, **wrong}
    with pytest.raises(ValueError, match="found"):
        solvers.ancestral(exact_noise, start(2), SCHEDULE, fresh=lambda step: start(2), **settings)
