"""Any config.yaml whatever gives a valid plan, or lines that name the key, and never a traceback."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from diffdistill import config
from diffdistill.config.experiment import MAX_MEASUREMENTS
from diffdistill.errors import UserError
from diffdistill.planning import report as reports
from diffdistill.planning.plan import Plan
from tests.faults import fault

PLAIN: dict[str, Any] = yaml.safe_load((Path(__file__).parents[2] / "config.yaml").read_text())
PLAIN = {
    "reports": {"mine": ["digits"]},
    "targets": ["mine"],
    "experiments": {"digits": PLAIN["experiments"]["digits"]},
}
FUZZ = settings(
    max_examples=500, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


def places(values: Any, above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The path of every value."""
    found = [above] if above else []
    for key, value in values.items() if isinstance(values, dict) else ():
        found += places(value, (*above, key))
    return found


WORDS = st.sampled_from(
    ["", " ", "nan", "-inf", "1e3", "1_000", "0x10", "true", "no", "null", "digits", "../x", "a/b", "a\nb", "é", "{x}",
     "1e400", "md5:0", "http://x/", "https://h/n.zip", "all", "random", "inception", "--config", "'", "9" * 400]
)  # fmt: skip
SCALARS = (
    st.none() | st.booleans() | st.integers(-3, 12) | st.sampled_from([1 << 31, 1 << 62, 10**20, 10**400])
    | st.floats() | WORDS | st.text(max_size=8)
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(SCALARS.filter(lambda key: key == key), inner, max_size=3)
    ),
    max_leaves=5,
)


def plan(values: Any) -> config.Config | None:
    """The config, with all that the workflow asks of it; None if it is refused, in lines as they should be."""
    try:
        parsed = config.parse(values)
    except UserError as error:
        lines = str(error).splitlines()
        assert lines and all(line.startswith("config.yaml: ") and len(line) < 600 for line in lines), lines
        return None
    planned = Plan(parsed)
    for name, experiment in parsed.experiments.items():
        train, steps = experiment.train, experiment.ema_steps()
        if train is not None:
            ends = train.slice_ends()
            assert ends[-1] == steps[-1] == train.iterations and len(steps) <= MAX_MEASUREMENTS
            assert train.slice_of(steps[0]) in ends and train.slice_before(ends[0]) is None
        experiment.source.file(name)
        planned.classifier(name)
        assert config.read(config.Experiment, json.loads(config.as_json(experiment)), "here") == experiment
    for report in parsed.targets:
        json.loads(config.as_json(reports.report(planned, report, "leaderboard.csv")))
    return parsed


@fault(
    "F32",
    "one wrong value ends in a traceback, or in another meaning",
    "500 random ones: a plan, or a line naming the key",
)
@FUZZ
@given(data=st.data())
def test_a_wrong_value_anywhere(data: st.DataObject) -> None:
    values = copy.deepcopy(PLAIN)
    place = data.draw(st.sampled_from(places(PLAIN)))
    value = data.draw(VALUES)
    block = values
    for key in place[:-1]:
        block = block[key]
    block[place[-1]] = value
    if plan(values) is None:
        with pytest.raises(UserError) as caught:
            config.parse(values)
        assert any(key in str(caught.value) for key in place[-2:]), (place, value, str(caught.value))


@fault("F32", "a misspelt or additional key is passed over", "it is refused by name, with its place")
@FUZZ
@given(data=st.data())
def test_an_unknown_key_anywhere(data: st.DataObject) -> None:
    values = copy.deepcopy(PLAIN)
    blocks = [()] + [
        p for p in places(PLAIN) if isinstance(_at(PLAIN, p), dict) and p not in (("experiments",), ("reports",))
    ]
    place = data.draw(st.sampled_from(blocks))
    key = data.draw(st.text(max_size=12) | st.integers() | st.none())
    if key in _at(values, place):
        return
    _at(values, place)[key] = 1
    parsed = plan(values)
    if parsed is None:
        with pytest.raises(UserError) as caught:
            config.parse(values)
        assert "unknown key" in str(caught.value) and all(part in str(caught.value) for part in place)
    else:
        # a key of the block that the shipped config leaves out
        assert key in _known()


def _at(values: Any, place: tuple[str, ...]) -> Any:
    for key in place:
        values = values[key]
    return values


def _known() -> set[str]:
    blocks = [
        config.Config,
        config.Experiment,
        config.Train,
        config.UViTModel,
        config.Fid,
        config.Sample,
        config.Evaluate,
        config.Protocol,
    ]
    return {name for block in blocks for name in block.model_fields}


@fault("F32", "a file that is no config at all ends in a traceback", "a plan, or lines that say what is needed")
@FUZZ
@given(values=VALUES)
def test_anything_at_all(values: Any) -> None:
    assert plan(values) is None


@fault(
    "F32",
    "a list where a block is expected, as from a second file that adds instead of replacing",
    "the block is named",
)
@pytest.mark.parametrize("name", ["source", "model", "train", "fid", "sample", "evaluate"])
def test_a_block_that_is_none(name: str) -> None:
    for wrong in (None, [], "x", 3, [{}]):
        values = copy.deepcopy(PLAIN)
        values["experiments"]["digits"][name] = wrong
        with pytest.raises(UserError, match=rf"experiments\.digits.*{name}"):
            config.parse(values)


@fault("F32", "names that collide with the workflow's own files", "they are refused by name")
@pytest.mark.parametrize("name", ["reports", "raw", "report.html", "summary.txt", "README.md"])
def test_names_of_the_workflows_own(name: str) -> None:
    digits = PLAIN["experiments"]["digits"]
    for values in ({name: digits, "digits": digits}, {"digits": {**digits, "dataset": name}}):
        with pytest.raises(UserError, match=f"'{name}'"):
            config.parse({"reports": {"mine": ["digits"]}, "targets": ["mine"], "experiments": values})


@fault("F21", "normalisation by a spread of 0, by NaN, or by two numbers for three channels", "it is refused by name")
@pytest.mark.parametrize(
    ("mean", "std"), [([0.5], [0.0]), ([float("nan")], [1.0]), ([0.1, 0.2], [1, 1]), ([0.1] * 3, [1.0])]
)
def test_constants_that_cannot_normalise(mean: list[float], std: list[float]) -> None:
    with pytest.raises(UserError, match="mean and std"):
        config.read(config.Protocol, {"steps": 1, "mean": mean, "std": std}, "here")


@fault("F12", "a measurement after every iteration plans a million jobs", "it is refused, with the number")
def test_too_many_measurements_are_refused() -> None:
    values = copy.deepcopy(PLAIN)
    values["experiments"]["digits"]["train"].update(iterations=10**12, slice_iterations=10**6)
    values["experiments"]["digits"]["fid"]["every"] = 1
    with pytest.raises(UserError, match="1000000000000 FID measurements; the limit is 2000"):
        config.parse(values)
