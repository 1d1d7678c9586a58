"""The ancestral sampler."""

from typing import Any

import pytest
import torch

from diffdistill.diffusion import solvers
from tests.diffusion.gaussian import MEAN, SCHEDULE, SPREAD, exact_noise, start


def test_the_ancestral_sampler_reaches_mean_and_spread() -> None:
    draws = torch.Generator().manual_seed(1)
    x_T = start(20000)
    x = solvers.ancestral(
        exact_noise, x_T, SCHEDULE, nfe=1000, t_end=1e-3,
        fresh=lambda step: torch.randn(x_T.shape, generator=draws, dtype=x_T.dtype),
    )  # fmt: skip
    assert float(x.mean()) == pytest.approx(MEAN, rel=0.02)
    assert float(x.std()) == pytest.approx(SPREAD, rel=0.01)


@pytest.mark.parametrize("wrong", [{"nfe": 0}, {"t_end": 0.0}, {"t_end": 1.0}])
def test_wrong_settings_of_the_ancestral_sampler_are_refused(wrong: dict[str, float]) -> None:
    settings: dict[str, Any] = {"nfe": 5, "t_end": 1e-3, **wrong}
    with pytest.raises(ValueError, match="found"):
        solvers.ancestral(exact_noise, start(2), SCHEDULE, fresh=lambda step: start(2), **settings)
