"""The blocks of sampling: what each solver can do, and mistakes."""

from typing import Any

import pytest
from pydantic import ValidationError

from diffdistill.config import Guidance, Sample, SamplingSetup, Select, Solver
from diffdistill.config.sampling import SOLVERS, picked_setup
from diffdistill.errors import UserError


@pytest.mark.parametrize("algorithm", SOLVERS)
def test_every_solver_has_its_orders_and_methods(algorithm: str) -> None:
    highest, methods = SOLVERS[algorithm]
    assert Solver(algorithm=algorithm, order=highest).order == highest
    with pytest.raises(ValueError, match=f"has orders 1 to {highest}"):
        Solver(algorithm=algorithm, order=highest + 1)
    if "singlestep" not in methods:
        with pytest.raises(ValueError, match=r"method 'singlestep' is for dpmsolver\+\+ and dpmsolver, not for"):
            Solver(algorithm=algorithm, method="singlestep")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"algorithm": "euler"}, r"unknown algorithm 'euler'; known: dpmsolver\+\+, dpmsolver, unipc"),
        ({"steps": 5}, "'steps' is now 'nfe'"),
        ({"nfe": 0}, "greater than or equal to 1"),
        ({"t_end": 0}, "greater than 0"),
        ({"order": True}, "expected an integer"),
    ],
)
def test_mistakes_in_a_solver(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Solver.model_validate(values)


def test_an_interval_of_guidance_rises() -> None:
    with pytest.raises(ValueError, match=r"interval \[0.5, 0.1\] must rise"):
        Guidance(weight=2, interval=(0.5, 0.1))


def test_modes_are_the_only_guidance_and_their_interval_rises() -> None:
    with pytest.raises(ValueError, match="guidance and modes cannot be combined"):
        Sample.model_validate({"images": 5, "modes": {}, "guidance": {"weight": 2.0}})
    with pytest.raises(ValueError, match="must rise"):
        Sample.model_validate({"images": 5, "modes": {"interval": [0.5, 0.5]}})


@pytest.mark.parametrize("values", [{}, {"budget_seconds": 3, "images": 5}])
def test_a_sample_ends_by_budget_or_number(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="give either budget_seconds or images"):
        Sample.model_validate(values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"method": "all", "images": 3}, "method 'all' takes no images"),
        ({"method": "random"}, "needs images or per_class"),
        ({"method": "random", "images": 3, "per_class": 1}, "either images or per_class"),
        ({"label_noise": "drop"}, "needs 'classifier'"),
    ],
)
def test_mistakes_in_a_selection(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Select.model_validate(values)


def test_what_a_pilot_cannot_try() -> None:
    with pytest.raises(ValueError, match="needs weights that are tuned"):
        SamplingSetup(solver=Solver(algorithm="consistency"))
    with pytest.raises(ValueError, match="keeps a number of images"):
        SamplingSetup(select=Select(method="random", images=3))


def test_a_picked_setup_is_read_and_checked() -> None:
    assert picked_setup({"setup": {"solver": {"nfe": 3}}}, "a.json").solver == Solver(nfe=3)
    with pytest.raises(UserError, match=r"a\.json: unknown key 'solvr'"):
        picked_setup({"setup": {"solvr": {}}}, "a.json")


def test_counts_of_classes() -> None:
    assert Sample(images=10, counts={7: 4, "cat": 6}).counts == {"7": 4, "cat": 6}  # type: ignore[dict-item]
    with pytest.raises(ValidationError, match="no class has an image"):
        Sample(images=10, counts={"cat": 0})
    with pytest.raises(ValidationError, match="modes take the images of balanced classes in turn"):
        Sample(images=10, counts="real", modes={})  # type: ignore[arg-type]
    with pytest.raises(ValidationError):
        Sample(images=10, counts="equal")  # type: ignore[arg-type]
