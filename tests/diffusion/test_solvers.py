"""Solvers against closed forms: Gaussian data, whose exact noise prediction is known."""

from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from diffdistill.config import Solver
from diffdistill.config.sampling import SOLVERS
from diffdistill.diffusion import solvers
from tests.diffusion.gaussian import MEAN, SCHEDULE, SPREAD, exact_end, exact_noise, start


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
