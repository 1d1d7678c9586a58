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
        (lambda d: d.update(study={"image_per_class": [5]}), ["study", "'image_per_class'", "'images_per_class'"]),
        (lambda d: d.update(study={"students": ["vgg"]}), ["study.students", "'vgg'", "mobilenet"]),
        (lambda d: d.update(study={"budget_fractions": [1.0]}), ["study.budget_fractions", "less than 1"]),
        (lambda d: d.update(study={"equal_steps": True}), ["study.equal_steps", "study.epochs"]),
        (lambda d: d.update(study={"rounds": 2}, evaluate={**d["evaluate"], "seeds": [0]}), ["study.rounds", "two"]),
        (
            lambda d: d.update(study={"budget_fractions": [0.5]}, select={"method": "random", "images": 50}),
            ["study.budget_fractions", "'random'"],
        ),
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
    even = config.parse(changed(lambda d: d["train"].update(iterations=4000, slice_iterations=2000)))
    assert even.experiment("digits").slice_ends() == [2000, 4000]


def test_a_study_plans_every_rival_once_and_nothing_by_default() -> None:
    digits = config.parse(PLAIN).experiment("digits")
    assert digits.study is None
    with pytest.raises(UserError, match="study is null"):
        digits.study_runs()
    asked = {
        "epochs": [101, 1001],
        "equal_steps": True,
        "images_per_class": [10, 10],
        "students": ["convnet", "resnet18"],
    }
    asked |= {"soft_labels": True, "no_augmentation": True, "rounds": 2, "budget_fractions": ["1e-1"]}
    counted = {**PLAIN["datasets"]["digits"]["evaluate"]["protocol"], "steps": None, "epochs": 101}
    values = changed(lambda d: (d.update(study=asked), d["evaluate"].update(protocol=counted)))
    runs = config.parse(values).experiment("digits").study_runs()
    assert sorted(runs) == sorted(
        [f"{family}-{kind}" for family in ("epochs-1001", "equal-steps", "resnet18") for kind in config.TRAIN_SETS]
        + [f"{family}-{kind}" for family in ("size-10", "soft", "no-augmentation") for kind in config.TRAIN_SETS[:2]]
        + ["budget-0.1-distilled", "round-1-distilled", "round-2-distilled"]
    )  # 101 epochs and the ConvNet are the main evaluation's
    assert (runs["equal-steps-real"].epochs, runs["equal-steps-real"].equal_steps) == (101, True)
    assert runs["resnet18-real-random"].on_all == "resnet18-real" and runs["size-10-real-random"].on_all is None
    with pytest.raises(UserError, match="plans no 'size-11-real'; planned: epochs-1001-distilled"):
        config.parse(values).experiment("digits").study_run("size-11-real")


def test_a_block_survives_the_way_through_json() -> None:
    protocol = config.parse(PLAIN).experiment("digits").evaluate.protocol
    assert config.read(config.Protocol, json.loads(config.as_json(protocol))) == protocol


def test_the_config_imports_no_torch() -> None:
    script = "import sys, diffdistill.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
