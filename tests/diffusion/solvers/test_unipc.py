"""UniPC: its first order by hand, and its weights."""

import math

import pytest
import torch

from diffdistill.config import Solver
from diffdistill.diffusion import solvers
from diffdistill.diffusion.solvers import unipc
from tests.diffusion.gaussian import SCHEDULE, ddim, exact_image, exact_noise, start


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
