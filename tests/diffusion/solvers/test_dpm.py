"""DPM-Solver and DPM-Solver++: their order, and DDIM."""

from itertools import pairwise

import pytest
import torch

from diffdistill.config import Solver
from diffdistill.diffusion import solvers
from tests.diffusion.gaussian import SCHEDULE, exact_end, exact_noise, start


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
