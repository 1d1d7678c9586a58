"""iPNDM: its weights."""

import pytest

from diffdistill.diffusion.solvers import ipndm


def test_adams_bashforth_integrates_polynomials_exactly() -> None:
    for order, rule in enumerate(ipndm.ADAMS_BASHFORTH, start=1):
        for power in range(order):
            found = sum(weight * (-age) ** power for age, weight in enumerate(rule))
            assert found == pytest.approx(1 / (power + 1))
