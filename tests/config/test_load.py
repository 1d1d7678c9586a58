"""Mistakes in config.yaml are named: the key, what is wrong, the nearest key that exists."""

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from diffdistill import config
from diffdistill.config.study import TRAIN_SETS
from diffdistill.errors import UserError
from tests.shipped import VALUES as PLAIN


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    values = copy.deepcopy(PLAIN)
    change(values["experiments"]["digits"])
    return values


def test_the_shipped_config_is_valid() -> None:
    digits = config.parse(PLAIN).experiment("digits")
    train = digits.train
    assert train is not None and train.learning_rate == 2e-3  # YAML alone reads 2e-3 as text
    assert train.slice_ends()[-1] == train.iterations
    assert set(digits.ema_steps()) >= set(train.slice_ends())


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda d: d["train"].update(itterations=3), ["experiments.digits.train", "'itterations'", "'iterations'"]),
        (lambda d: d["train"].update(iterations="many"), ["experiments.digits.train.iterations", "'many'"]),
        (lambda d: d["train"].update(iterations=2.5), ["experiments.digits.train.iterations", "2.5"]),
        (lambda d: d["train"].update(iterations=True), ["experiments.digits.train.iterations", "found true"]),
        (lambda d: d["train"].update(learning_rate="nan"), ["experiments.digits.train.learning_rate"]),
        (lambda d: d["train"].update(flip="maybe"), ["experiments.digits.train.flip", "maybe"]),
        (lambda d: d["train"].update(slice_iterations=1500), ["slice_iterations 1500", "fid.every 1000"]),
        (lambda d: d.pop("model"), ["experiments.digits: model is missing"]),
        (lambda d: d["model"].update(depth=3), ["experiments.digits.model", "depth 3"]),
        (lambda d: d["sample"].update(images=3), ["experiments.digits.sample", "budget_seconds", "images"]),
        (lambda d: d["sample"]["solver"].update(order=4), ["experiments.digits.sample.solver", "order 4"]),
        (lambda d: d["evaluate"].update(seeds=[1, 1]), ["experiments.digits.evaluate", "duplicate values in seeds"]),
        (lambda d: d["evaluate"]["protocol"].update(augment="flop"), ["protocol", "'flop'", "flip"]),
        (lambda d: d.update(source={"kind": "digit"}), ["experiments.digits.source.kind", "digits"]),
        (lambda d: d.update(study={"image_per_class": [5]}), ["study", "'image_per_class'", "'images_per_class'"]),
        (lambda d: d.update(study={"architectures": ["vgg"]}), ["study.architectures", "'vgg'", "mobilenet"]),
        (lambda d: d.update(study={"budget_fractions": [1.0]}), ["study.budget_fractions", "less than 1"]),
        (lambda d: d.update(study={"equal_steps": True}), ["study.equal_steps", "study.epochs"]),
        (
            lambda d: d.update(study={"resamplings": 2}, evaluate={**d["evaluate"], "seeds": [0]}),
            ["study.resamplings", "two"],
        ),
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
    assert train is not None and (train.iterations, train.learning_rate, train.flip) == (3000, 2e-4, False)


def test_null_removes_an_experiment_and_unknown_names_are_refused() -> None:
    values = copy.deepcopy(PLAIN)
    values["experiments"]["other"] = None
    parsed = config.parse(values)
    assert "digits" in parsed.experiments and "other" not in parsed.experiments
    with pytest.raises(UserError, match=r"'digit'.*did you mean 'digits'"):
        parsed.experiment("digit")


def test_null_also_removes_it_from_the_reports_and_an_empty_report_from_the_targets() -> None:
    values = copy.deepcopy(PLAIN)
    values["experiments"]["cifar100"] = None
    assert config.parse(values).reports["paper"] == ("tinyimagenet",)
    values["experiments"]["tinyimagenet"] = None
    values["targets"] = ["demo", "paper"]
    parsed = config.parse(values)
    assert parsed.targets == ("demo",) and "paper" not in parsed.reports


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.update(targets=["papre"]), "targets: no report 'papre'"),
        (lambda v: v.update(targets=["digits"]), r"write {digits: \[digits\]} under reports"),
        (lambda v: v["reports"].update(raw=["digits"]), "'raw' is a name that the workflow uses itself"),
        (lambda v: v["experiments"].update(reports=v["experiments"]["digits"]), "'reports' is a name that"),
        (lambda v: v["reports"].update(demo=[]), "reports.demo"),
        (lambda v: v["reports"].update(mine=["digits", "digit"]), "reports.mine: no experiment 'digit' under"),
    ],
)
def test_reports_and_targets_must_fit(change: Callable[[dict[str, Any]], object], message: str) -> None:
    values = copy.deepcopy(PLAIN)
    change(values)
    with pytest.raises(UserError, match=message):
        config.parse(values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.update(datasets=v.pop("experiments")), "'datasets' is now 'experiments'"),
        (lambda v: v["experiments"]["digits"].update(choose={}), "'choose' is now 'checkpoint'"),
        (lambda v: v["experiments"]["digits"]["train"].update(ema_decay=0.9), "'ema_decay' is now 'ema_decays'"),
        (lambda v: v["experiments"]["digits"]["sample"]["solver"].update(steps=9), "'steps' is now 'nfe'"),
        (lambda v: v["experiments"]["digits"].update(study={"rounds": 2}), "'rounds' is now 'resamplings'"),
        (lambda v: v["experiments"]["digits"]["select"].update(disagree="drop"), "'disagree' is now 'label_noise'"),
        (lambda v: v["experiments"]["digits"]["checkpoint"].update(draws=[{}]), "'draws' is now 'setups'"),
        (lambda v: v["experiments"]["digits"].update(tune={"halvings": 2}), "'halvings' is now 'stages'"),
    ],
)
def test_a_key_of_an_older_version_is_refused_with_its_new_name(
    change: Callable[[dict[str, Any]], object], message: str
) -> None:
    values = copy.deepcopy(PLAIN)
    change(values)
    with pytest.raises(UserError) as caught:
        config.parse(values)
    assert message in str(caught.value)


@pytest.mark.parametrize("old", ["chosen.json", "fid/features.safetensors"])
def test_results_of_an_older_version_are_refused(tmp_path: Path, old: str) -> None:
    config.refuse_old_results(config.parse(PLAIN), tmp_path)
    (tmp_path / "digits" / old).parent.mkdir(parents=True)
    (tmp_path / "digits" / old).write_text("{}")
    with pytest.raises(UserError, match=f"digits was written by an older version \\({old}"):
        config.refuse_old_results(config.parse(PLAIN), tmp_path)


@pytest.mark.parametrize("value", [True, False])
def test_a_boolean_is_no_number(value: bool) -> None:
    with pytest.raises(UserError, match="expected a number"):
        config.parse(changed(lambda d: d["train"].update(learning_rate=value)))


def test_a_large_seed_given_as_text_keeps_its_digits() -> None:
    values = changed(lambda d: d["sample"].update(seed="9007199254740993"))
    sample = config.parse(values).experiment("digits").sample
    assert sample is not None and sample.seed == 2**53 + 1


def test_slices_cover_the_training_once() -> None:
    values = changed(lambda d: d["train"].update(iterations=5000, slice_iterations=2000))
    digits = config.parse(values).experiment("digits")
    train = digits.train
    assert train is not None and train.slice_ends() == [2000, 4000, 5000]
    assert [train.slice_before(end) for end in train.slice_ends()] == [None, 2000, 4000]
    assert [train.slice_of(step) for step in digits.ema_steps()] == [2000, 2000, 4000, 4000, 5000]
    with pytest.raises(UserError, match="no training slice ends at iteration 300"):
        train.slice_before(300)
    even = config.parse(changed(lambda d: d["train"].update(iterations=4000, slice_iterations=2000)))
    assert even.experiment("digits").train.slice_ends() == [2000, 4000]


def test_a_study_plans_every_rival_once_and_nothing_by_default() -> None:
    digits = config.parse(PLAIN).experiment("digits")
    assert digits.study is None
    with pytest.raises(UserError, match="study is null"):
        digits.study_runs()
    asked = {
        "epochs": [101, 1001],
        "equal_steps": True,
        "images_per_class": [10, 10],
        "architectures": ["convnet", "resnet18"],
    }
    asked |= {"soft_labels": True, "no_augmentation": True, "resamplings": 2, "budget_fractions": ["1e-1"]}
    counted = {**PLAIN["experiments"]["digits"]["evaluate"]["protocol"], "steps": None, "epochs": 101}
    values = changed(lambda d: (d.update(study=asked), d["evaluate"].update(protocol=counted)))
    runs = config.parse(values).experiment("digits").study_runs()
    assert sorted(runs) == sorted(
        [f"{ablation}-{kind}" for ablation in ("epochs-1001", "equal-steps", "resnet18") for kind in TRAIN_SETS]
        + [f"{ablation}-{kind}" for ablation in ("size-10", "soft", "no-augmentation") for kind in TRAIN_SETS[:2]]
        + ["budget-0.1-distilled", "resampling-1-distilled", "resampling-2-distilled"]
    )  # 101 epochs and the ConvNet are the main evaluation's
    assert (runs["equal-steps-real"].epochs, runs["equal-steps-real"].equal_steps) == (101, True)
    assert (
        runs["resnet18-real-random"].full_real_run == "resnet18-real"
        and runs["size-10-real-random"].full_real_run is None
    )
    with pytest.raises(UserError, match="plans no 'size-11-real'; planned: epochs-1001-distilled"):
        config.parse(values).experiment("digits").study_run("size-11-real")


def test_a_block_survives_the_way_through_json() -> None:
    protocol = config.parse(PLAIN).experiment("digits").evaluate.protocol
    assert config.read(config.Protocol, json.loads(config.as_json(protocol)), "here") == protocol


def test_the_config_imports_no_torch() -> None:
    script = "import sys, diffdistill.__main__, diffdistill.planning.settings; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
