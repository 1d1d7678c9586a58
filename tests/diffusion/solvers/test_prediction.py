"""What the exponential solvers share, against its formulas."""

import math

import pytest
import torch

from diffdistill.diffusion.solvers.prediction import Space, phi
from tests.diffusion.gaussian import SCHEDULE, ddim, exact_image, exact_noise, start


def test_phi_functions() -> None:
    """phi_{k+1}(g) = (phi_k(g) - 1/k!) / g, here scaled: phi_1 = e^g - 1."""
    for g in (-2.0, -0.3, 0.7):
        phi_1, phi_2, phi_3, phi_4 = phi(g)
        series = [sum(g ** (n + k) / math.factorial(n + 1 + k) for n in range(40)) for k in range(4)]
        assert phi_1 == pytest.approx(math.exp(g) - 1)
        assert (phi_2, phi_3, phi_4) == pytest.approx((g * series[1] / g, g * series[2] / g**2, g * series[3] / g**3))


@pytest.mark.parametrize("data", [True, False])
def test_a_first_order_step_is_exact_for_a_constant_prediction(data: bool) -> None:
    """x_t = a_t / a_s x_s - b_t expm1(g) m_s is DDIM in both spaces."""
    space, x = Space(exact_noise, SCHEDULE, data=data), start(3)
    s, t = torch.tensor([0.8, 0.5], dtype=torch.float64)
    ratio, b_t, g = space.step(s, t)
    found = ratio * x - b_t * math.expm1(g) * space.predict(x, s)
    assert torch.allclose(found, ddim(x, exact_image(x, s), s, t), rtol=1e-10)
