"""Mistakes in config.yaml are named: the key, what is wrong, the nearest key that exists."""

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from diffdistill import config
from diffdistill.errors import UserError

PLAIN = yaml.safe_load((Path(__file__).parents[1] / "config.yaml").read_text())


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    values = copy.deepcopy(PLAIN)
    change(values["datasets"]["digits"])
    return values


def test_the_shipped_config_is_valid() -> None:
    digits = config.parse(PLAIN).experiment("digits")
    assert digits.train.learning_rate == 2e-3  # YAML alone reads 2e-3 as text
    assert digits.slice_ends()[-1] == digits.train.iterations
    assert set(digits.fid_steps()) >= set(digits.slice_ends())


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda d: d["train"].update(itterations=3), ["datasets.digits.train", "'itterations'", "'iterations'"]),
        (lambda d: d["train"].update(iterations="many"), ["datasets.digits.train.iterations", "'many'"]),
        (lambda d: d["train"].update(iterations=2.5), ["datasets.digits.train.iterations", "2.5"]),
        (lambda d: d["train"].update(iterations=True), ["datasets.digits.train.iterations", "True"]),
        (lambda d: d["train"].update(learning_rate="nan"), ["datasets.digits.train.learning_rate"]),
        (lambda d: d["train"].update(flip="maybe"), ["datasets.digits.train.flip", "maybe"]),
        (lambda d: d["train"].update(slice_iterations=1500), ["slice_iterations 1500", "fid.every 1000"]),
        (lambda d: d.pop("model"), ["datasets.digits.model", "missing"]),
        (lambda d: d["model"].update(depth=3), ["datasets.digits.model", "depth 3"]),
        (lambda d: d["sample"].update(images=3), ["datasets.digits.sample", "budget_seconds", "images"]),
        (lambda d: d["sample"]["solver"].update(order=4), ["datasets.digits.sample.solver", "order 4"]),
        (lambda d: d["evaluate"].update(seeds=[1, 1]), ["datasets.digits.evaluate", "twice"]),
        (lambda d: d["evaluate"]["protocol"].update(augment="flop"), ["protocol", "'flop'", "flip"]),
        (lambda d: d.update(source={"kind": "digit"}), ["datasets.digits.source.kind", "digits"]),
    ],
)
def test_a_mistake_is_named_in_lines_without_a_traceback(
    change: Callable[[dict[str, Any]], object], parts: list[str]
) -> None:
    with pytest.raises(UserError) as caught:
        config.parse(changed(change))
    for part in parts:
        assert part in str(caught.value)
    assert all(line.startswith("config.yaml: ") for line in str(caught.value).splitlines())


def test_spellings_that_yaml_takes_for_text_are_understood() -> None:
    values = changed(lambda d: d["train"].update(iterations="3e3", learning_rate="2e-4", flip="false"))
    train = config.parse(values).experiment("digits").train
    assert (train.iterations, train.learning_rate, train.flip) == (3000, 2e-4, False)


def test_null_removes_an_experiment_and_unknown_names_are_refused() -> None:
    values = copy.deepcopy(PLAIN)
    values["datasets"]["other"] = None
    parsed = config.parse(values)
    assert "digits" in parsed.experiments and "other" not in parsed.experiments
    with pytest.raises(UserError, match=r"'digit'.*did you mean 'digits'"):
        parsed.experiment("digit")


def test_slices_cover_the_training_once() -> None:
    values = changed(lambda d: d["train"].update(iterations=5000, slice_iterations=2000))
    digits = config.parse(values).experiment("digits")
    assert digits.slice_ends() == [2000, 4000, 5000]
    assert [digits.slice_before(end) for end in digits.slice_ends()] == [None, 2000, 4000]
    assert [digits.slice_of(step) for step in digits.fid_steps()] == [2000, 2000, 4000, 4000, 5000]
    with pytest.raises(UserError, match="no training slice ends at iteration 300"):
        digits.slice_before(300)


def test_a_block_survives_the_way_through_json() -> None:
    protocol = config.parse(PLAIN).experiment("digits").evaluate.protocol
    assert config.read(config.Protocol, json.loads(config.as_json(protocol))) == protocol


def test_the_config_imports_no_torch() -> None:
    script = "import sys, diffdistill.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
