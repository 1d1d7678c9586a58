"""The times that a solver visits."""

import pytest
import torch

from diffdistill.diffusion import solvers
from diffdistill.diffusion.solvers import grid
from tests.diffusion.gaussian import SCHEDULE


def test_rho_spacing_is_even_in_the_seventh_root_of_the_noise_to_signal_ratio() -> None:
    grid = solvers.times(SCHEDULE, *torch.tensor([1.0, 1e-3], dtype=torch.float64), 6, "rho")
    root = (SCHEDULE.sigma(grid) / SCHEDULE.alpha(grid)) ** (1 / 7)
    assert grid[[0, -1]].tolist() == [1.0, 1e-3]
    assert torch.allclose(root.diff(), root.diff().mean(), rtol=1e-6)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_orders_of_singlestep_sum_to_the_evaluations(order: int) -> None:
    for nfe in range(1, 30):
        orders = grid.singlestep_orders(nfe, order)
        assert sum(orders) == nfe and max(orders) <= order


def test_few_steps_end_at_lower_order() -> None:
    assert [grid.multistep_order(i, 5, 3) for i in range(5)] == [1, 2, 3, 2, 1]
    assert [grid.multistep_order(i, 10, 3) for i in range(10)] == [1, 2, *[3] * 8]


def test_another_spacing_is_refused() -> None:
    with pytest.raises(ValueError, match="spacing must be"):
        grid.times(SCHEDULE, torch.tensor(1.0), torch.tensor(0.1), 3, "x")
