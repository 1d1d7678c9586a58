"""Half precision and compilation change the last bits only, and the plan says what ran."""

import logging
from typing import Any

import pytest
import torch
from torch import Tensor

from diffdistill.diffusion import running
from diffdistill.diffusion.running import Compiled
from tests.diffusion.models import MODELS, busy


def inputs() -> tuple[Tensor, Tensor, Tensor]:
    draws = torch.Generator().manual_seed(0)
    return torch.randn(4, 1, 8, 8, generator=draws), torch.full((4,), 0.4), torch.arange(4) % 3


@pytest.mark.parametrize("kind", MODELS)
def test_half_precision_is_near_and_a_copy(kind: str) -> None:
    denoiser, given = busy(MODELS[kind]), inputs()
    half = running.prepared(denoiser, "bfloat16", compiled=False)
    with torch.inference_mode():
        exact, found = denoiser.predict_noise(*given), half.predict_noise(*given)
    assert found.dtype == torch.float32 and not torch.equal(exact, found)
    assert float((exact - found).norm() / exact.norm()) < 0.05
    assert next(denoiser.network.parameters()).dtype == torch.float32


@pytest.mark.slow
@pytest.mark.parametrize("kind", MODELS)
def test_compiled_is_the_same(kind: str) -> None:
    denoiser, given = busy(MODELS[kind]), inputs()
    compiled = running.prepared(denoiser, "float32", compiled=True)
    assert isinstance(compiled, Compiled)
    with torch.inference_mode():
        torch.testing.assert_close(compiled.predict_noise(*given), denoiser.predict_noise(*given), atol=1e-4, rtol=1e-4)
    assert not compiled.failed


def plan(denoiser: Any, **changed: Any) -> running.Plan:
    settings = {"precision": "auto", "compile": "auto", "batch_size": 32, "budget_seconds": 600.0} | changed
    return running.plan(denoiser, device=torch.device("cpu"), **settings)


def test_a_compilation_that_fails_is_not_said_to_have_run(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_compiler(self: torch.nn.Module, **settings: Any) -> None:
        def fail(*args: Any) -> Tensor:
            raise RuntimeError("no compiler")

        self._compiled_call_impl = fail

    monkeypatch.setattr(torch.nn.Module, "compile", no_compiler)
    denoiser, given = busy(), inputs()
    made = plan(denoiser, compile=True, precision="float32", budget_seconds=None)
    assert made.compiled and made.batch_size == 32
    with torch.inference_mode(), caplog.at_level(logging.WARNING, "diffdistill"):
        assert torch.equal(made.denoiser.predict_noise(*given), denoiser.predict_noise(*given))
    assert not made.compiled and made.describe()["compiled"] is False
    assert made.describe()["reason"] == "as set; compilation failed"
    assert caplog.messages == ["torch.compile failed, running without it: no compiler"]


def test_a_long_budget_is_worth_a_probe() -> None:
    denoiser = busy()
    made = plan(denoiser, compile=False)
    assert "in a batch of 32 took: float32 " in made.reason and ", bfloat16 " in made.reason
    assert made.precision in ("float32", "bfloat16") and made.batch_size is None
    made = plan(denoiser, precision="float32", budget_seconds=200)
    assert made.denoiser is denoiser and not made.compiled


@pytest.mark.parametrize(
    ("changed", "reason"),
    [({}, "budget too short for a probe"), ({"precision": "float32", "compile": False}, "as set")],
)
def test_a_short_budget_measures_nothing(changed: dict[str, Any], reason: str) -> None:
    denoiser = busy()
    made = plan(denoiser, budget_seconds=20.0, **changed)
    assert made.denoiser is denoiser and made.describe() == {
        "precision": "float32", "compiled": False, "batch_size": None, "reason": reason,
    }  # fmt: skip
