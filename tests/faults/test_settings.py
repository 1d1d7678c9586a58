"""Settings that cannot work: refused before any job starts, or by `prepare` where only the data show it."""

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from benchmarks.processes import run
from benchmarks.tiny import contents
from PIL import Image

from diffdistill import config
from diffdistill.errors import UserError
from diffdistill.planning import fitting
from diffdistill.planning.plan import Plan
from diffdistill.planning.settings import SETTINGS
from tests import command
from tests.faults import fault
from tests.faults.environments import CONFIG, Outcome, copied_project, snakemake

CLASSIFIER = {"method": "classifier"}
PILOT = {"by": "pilot", "images": 100, "seeds": [0]}
FID = {"every": 3, "images": 100, "features": "classifier"}

Case = tuple[dict[str, Any], list[str]]
MISTAKES: dict[str, Case] = {
    "one-image-for-fid": ({"fid": {**FID, "images": 1}}, ["fid.images", "(found 1)"]),
    "no-images": ({"sample": {"images": 0}}, ["sample.images", "(found 0)"]),
    "budget-of-nothing": ({"sample": {"images": None, "budget_seconds": 0}}, ["sample.budget_seconds", "(found 0)"]),
    "budget-without-end": ({"sample": {"images": None, "budget_seconds": ".inf"}}, ["sample.budget_seconds"]),
    "budget-and-number": ({"sample": {"budget_seconds": 5}}, ["sample: give either budget_seconds or images"]),
    "empty-batch": ({"train": {"batch_size": 0}}, ["train.batch_size", "(found 0)"]),
    "devices-that-leave-a-node-half-empty": (
        {"train": {"devices": 6, "devices_per_node": 4}},
        ["train: devices 6 do not fill nodes of devices_per_node 4; give a multiple of it, or at most 4"],
    ),
    "more-devices-than-batch": ({"train": {"devices": 9}}, ["devices 9 cannot share a batch of 8"]),
    "warm-up-too-long": ({"train": {"warmup_iterations": 3}}, ["warmup_iterations 3 must be below iterations 3"]),
    "no-iteration": ({"train": {"iterations": 0}}, ["train.iterations", "(found 0)"]),
    "slices-that-miss": ({"train": {"iterations": 4}, "fid": FID}, ["train.iterations 4 is not a multiple"]),
    "ema-of-one": ({"train": {"ema_decays": [1.0]}}, ["train.ema_decays", "1.0"]),
    "no-ema": ({"train": {"ema_decays": []}}, ["train.ema_decays"]),
    "no-validation": ({"source": {"validation_per_class": 0}}, ["source.validation_per_class", "(found 0)"]),
    "digits-without-a-test-split": ({"source": {"test_per_class": None}}, ["source: test_per_class is missing"]),
    "truth-for-a-number": ({"train": {"learning_rate": True}}, ["train.learning_rate", "found true"]),
    "rate-of-nothing": ({"train": {"learning_rate": 0}}, ["train.learning_rate", "(found 0)"]),
    "no-seeds": ({"evaluate": {"seeds": []}}, ["evaluate.seeds"]),
    "seed-twice": ({"evaluate": {"seeds": [1, 1]}}, ["duplicate values in seeds: [1, 1]"]),
    "seed-below-0": ({"evaluate": {"seeds": [-1]}}, ["evaluate.seeds.0", "(found -1)"]),
    "no-length": ({"evaluate": {"protocol": {"steps": None}}}, ["give either epochs or steps"]),
    "spread-of-nothing": ({"evaluate": {"protocol": {"mean": [0.5], "std": [0]}}}, ["std above 0"]),
    "two-channels": ({"evaluate": {"protocol": {"mean": [0, 0], "std": [1, 1]}}}, ["one per channel (3)"]),
    "unknown-augmentation": ({"evaluate": {"protocol": {"augment": "blur"}}}, ["unknown family 'blur'"]),
    "pilot-without-fid": ({"checkpoint": PILOT}, ["checkpoint.by 'pilot' needs the block fid"]),
    "candidate-not-measured": (
        {"fid": FID, "checkpoint": {**PILOT, "candidates": [2]}}, ["checkpoint.candidates: 2 is not measured"],
    ),
    "pilot-of-no-seed": ({"fid": FID, "checkpoint": {**PILOT, "seeds": []}}, ["checkpoint.seeds"]),
    "guidance-without-dropout": ({"sample": {"guidance": {"weight": 2}}}, ["train.label_dropout"]),
    "guide-not-kept": ({"sample": {"guidance": {"weight": 2, "from_step": 2}}}, ["iteration 2 are not kept"]),
    "consistency-untuned": ({"sample": {"solver": {"algorithm": "consistency"}}}, ["add the block tune"]),
    "selection-without-number": ({"select": {"method": "random"}}, ["method 'random' needs images or per_class"]),
    "selection-of-nothing": ({"select": {"method": "random", "per_class": 0}}, ["select.per_class", "(found 0)"]),
    "study-of-nothing": ({"study": {"images_per_class": [0]}}, ["study.images_per_class.0", "(found 0)"]),
    "whole-budget": ({"study": {"budget_fractions": [1.0]}}, ["study.budget_fractions.0", "1.0"]),
    "resampled-once": ({"study": {"resamplings": 2}}, ["study.resamplings needs at least two evaluate.seeds"]),
    "odd-depth": ({"model": {"depth": 3}}, ["depth 3 is odd"]),
    "heads-that-do-not-divide": ({"model": {"num_heads": 3}}, ["not a multiple of num_heads 3"]),
    "nothing-exported": ({"export": {"challenge_per_class": 0}}, ["export.challenge_per_class", "(found 0)"]),
}  # fmt: skip
"""By name of the experiment: changes of the tiny one, and parts of the line that refuses it."""
MISFITS: dict[str, Case] = {
    "fewer-samples-than-classes": ({"sample": {"images": 9}}, ["sample.images 9", "10 classes"]),
    "fewer-real-samples-than-classes": (
        {"sample": {"images": 8, "counts": "real"}}, ["sample.images 8", "10 classes"],
    ),
    "no-such-class": ({"sample": {"counts": {"cat": 3}}}, ["sample.counts.cat 3: no class 'cat'; known: 0, 1"]),
    "fewer-selected-than-classes": (
        {"select": {"method": "random", "images": 9}}, ["select.images 9", "10 classes"],
    ),
    "more-selected-than-sampled": (
        {"select": {"method": "random", "per_class": 3}}, ["select.per_class 3", "give 2 per class"],
    ),
    "study-of-more-than-sampled": ({"study": {"images_per_class": [3]}}, ["study.images_per_class 3", "2 per class"]),
    "study-of-more-than-selected": (
        {"sample": {"images": 100}, "select": {"method": "random", "images": 20}, "study": {"images_per_class": [5]}},
        ["study.images_per_class 5", "20 samples of 10 classes give 2 per class"],
    ),
    "study-of-more-than-real": (
        {"sample": {"images": 5000}, "study": {"images_per_class": [200]}},
        ["study.images_per_class 200", "have 1297 train images in all"],
    ),
    "challenge-of-more-than-sampled": (
        {"export": {"challenge_per_class": 10}}, ["export.challenge_per_class 10", "2 per class"],
    ),
    "more-sub-classes-than-images": ({"train": {"subclasses": 125}}, ["train.subclasses 125", "124 train images"]),
    "more-modes-than-images": (
        {"sample": {"modes": {"per_class": 200}}}, ["sample.modes.per_class 200", "124 train images"],
    ),
    "refined-from-more-than-real": (
        {"refine": {"start": "real", "images_per_class": 125}}, ["refine.images_per_class 125", "124 train images"],
    ),
    "refined-from-more-than-sampled": (
        {"refine": {"images_per_class": 3}}, ["refine.images_per_class 3", "2 per class"],
    ),
    "grid-that-does-not-divide": (
        {"refine": {"start": "noise", "factor": 3, "images_per_class": 1}}, ["refine.factor 3", "side of 8 pixels"],
    ),
    "patches-that-do-not-divide": ({"model": {"patch_size": 3}}, ["model.patch_size 3", "side of 8 pixels"]),
    "halved-too-often": (
        {"model": {"kind": "unet", "channels": 8, "multipliers": [1, 1, 1, 1, 1]}},
        ["model.multipliers 4", "side of 8 pixels, which cannot be halved so often"],
    ),
    "patches-that-do-not-divide-for-a-unet": (
        {"model": {"kind": "unet", "channels": 8, "patch_size": 5}}, ["model.patch_size 5", "side of 8 pixels"],
    ),
    "patches-halved-too-often": (
        {"model": {"kind": "unet", "channels": 8, "patch_size": 2, "multipliers": [1, 2, 2, 2]}},
        ["model.multipliers 3", "4 patches of 2, which cannot be halved so often"],
    ),
    "too-deep-a-convnet": (
        {"evaluate": {"protocol": {"depth": 4}}}, ["evaluate.protocol.depth 4", "cannot be halved so often"],
    ),
    "too-deep-a-classifier": (
        {"classifier": {"protocol": {"steps": 5, "depth": 4}}}, ["classifier.protocol.depth 4", "halved so often"],
    ),
    "nothing-left-to-train-on": (
        {"dataset": "cut", "source": {"validation_per_class": 100, "test_per_class": 74}},
        ["source of data/cut", "validation_per_class 100 and test_per_class 74", "has 174"],
    ),
}  # fmt: skip
UNSEEN: dict[str, Case] = {
    "fewer-samples-than-classes": ({"sample": {"images": 2}}, ["sample.images 2", "3 classes"]),
    "no-such-class": ({"sample": {"counts": {"owls": 3}}}, ["sample.counts.owls 3", "did you mean 'owl'?"]),
    "study-of-more-than-real": (
        {"sample": {"images": 5000}, "study": {"images_per_class": [9]}},
        ["study.images_per_class 9", "have 24 train images in all"],
    ),
    "more-sub-classes-than-images": ({"train": {"subclasses": 9}}, ["train.subclasses 9", "8 train images"]),
    "patches-that-do-not-divide": ({"model": {"patch_size": 5}}, ["model.patch_size 5", "side of 8 pixels"]),
    "too-deep-a-convnet": ({"evaluate": {"protocol": {"depth": 5}}}, ["evaluate.protocol.depth 5", "halved"]),
    "more-validation-than-images": (
        {"source": {"validation_per_class": 11}}, ["source.validation_per_class", "lower"],
    ),
    "more-test-than-images": ({"source": {"test_per_class": 11}}, ["source.test_per_class", "lower"]),
    "all-cut-away": ({"source": {"validation_per_class": 6, "test_per_class": 6}}, ["lower source.test_per_class"]),
}  # fmt: skip
"""The same for a user's folder of three classes with twelve images each, two of which are cut for each split."""


def experiment(change: dict[str, Any], source: dict[str, Any] | None = None) -> dict[str, Any]:
    """The tiny experiment with other values, on a source."""
    block: dict[str, Any] = copy.deepcopy(CONFIG["experiments"]["digits"])
    block["source"] = source or block["source"]
    if "kind" in change.get("model", {}):
        block["model"] = {}
    return _merged(block, change)


def _merged(values: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    found = dict(values)
    for key, value in change.items():
        nested = isinstance(value, dict) and isinstance(found.get(key), dict)
        found[key] = _merged(found[key], value) if nested else value
    return found


def started(folder: Path, cases: dict[str, Case]) -> Outcome:
    """What Snakemake says to all of them at once, asked to run."""
    project = copied_project(folder)
    experiments = {name: experiment({"dataset": "digits", **change}) for name, (change, _) in cases.items()}
    values = {"reports": {"all": list(cases)}, "targets": ["all"], "experiments": experiments}
    (project / "config.yaml").write_text(yaml.safe_dump(values))
    ended = snakemake(project, {}, "all")
    assert ended.code == 1 and "Traceback" not in ended.said, ended.said
    assert not list(project.glob("data")) and not list(project.glob("results")) and not list(project.glob("logs"))
    return ended


@pytest.fixture(scope="module")
def mistakes(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return started(tmp_path_factory.mktemp("mistakes") / "project", MISTAKES)


@pytest.fixture(scope="module")
def misfits(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return started(tmp_path_factory.mktemp("misfits") / "project", MISFITS)


def line_about(said: str, name: str, parts: list[str]) -> None:
    """One line, and no other about this experiment, has all the parts."""
    lines = [line for line in said.splitlines() if f".{name}." in line or f".{name}:" in line or "data/cut" in line]
    assert any(all(part in line for part in parts) for line in lines), "\n".join(lines) or said


@fault("G33", "a setting that fails after training passes the dry run", "one line names key and value, no job starts")
@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_the_config(mistakes: Outcome, name: str) -> None:
    line_about(mistakes.said, name, MISTAKES[name][1])


@fault(
    "G33", "fewer images than classes, or more per class than there are", "refused before any job where data are known"
)
@pytest.mark.parametrize("name", MISFITS)
def test_settings_that_do_not_fit_the_data(misfits: Outcome, name: str) -> None:
    line_about(misfits.said, name, MISFITS[name][1])


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder: three classes of twelve pictures."""
    folder = tmp_path_factory.mktemp("own") / "project"
    for label, name in enumerate(("cat", "dog", "owl")):
        (folder / "pictures" / name).mkdir(parents=True)
        for number in range(12):
            Image.new("L", (8, 8), 20 * number + label).save(folder / "pictures" / name / f"{number}.png")
    return folder


def prepared(folder: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]) -> list[str]:
    """The command that prepares the folder for the tiny experiment with other values."""
    monkeypatch.chdir(folder)
    source = {"kind": "folder", "path": "pictures", "validation_per_class": 2, "test_per_class": 2}
    values = {"reports": {"own": ["own"]}, "targets": ["own"], "experiments": {"own": experiment(change, source)}}
    settings = SETTINGS["prepare"](Plan(config.parse(values)), SimpleNamespace(dataset="own"))
    outputs = {name: f"data/own/{name}.safetensors" for name in ("train", "validation", "test")}
    return command.arguments("prepare", settings, {"source": "pictures"}, outputs | {"record": "data/own/source.json"})


@fault("G33", "only the pictures show that a setting cannot work", "`prepare` refuses it, and nothing is written")
@pytest.mark.parametrize("name", UNSEEN)
def test_what_only_prepare_can_know(pictures: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    change, parts = UNSEEN[name]
    before = contents(pictures)
    run(prepared(pictures, monkeypatch, change), pictures).refused(*parts)
    assert contents(pictures) == before


@fault("G33", "settings change after the pictures were prepared", "the next dry run knows their counts")
def test_prepared_pictures_are_known(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = run(prepared(pictures, monkeypatch, {}), pictures)
    assert ended.code == 0, ended.said
    source = {"kind": "folder", "path": "pictures", "validation_per_class": 2, "test_per_class": 2}
    for sample, said in (
        ({"images": 2}, "images 2: there are 3 classes"),
        ({"counts": {"dogs": 2}}, "counts.dogs 2: no class 'dogs'; did you mean 'dog'"),
    ):
        few = experiment({"sample": sample}, source)
        values = {"reports": {"own": ["own"]}, "targets": ["own"], "experiments": {"own": few}}
        with pytest.raises(UserError, match=rf"config.yaml: experiments.own.sample.{said}"):
            fitting.refuse_what_the_data_do_not_have(Plan(config.parse(values)))


@fault("G33", "a budget is used up before the first image", "the dry run compares a short one with a start's seconds")
def test_a_budget_that_a_start_uses_up(tmp_path: Path) -> None:
    project = copied_project(tmp_path / "project")
    values = yaml.safe_load((project / "config.yaml").read_text())
    values["experiments"]["digits"]["sample"] |= {"images": None, "budget_seconds": 0.01}
    (project / "config.yaml").write_text(yaml.safe_dump(values))
    ended = snakemake(project, {}, "--dry-run", "all")
    assert ended.code == 1 and "Traceback" not in ended.said, ended.said
    line_about(ended.said, "digits", ["sample.budget_seconds 0.01", "a program takes", "give at least"])


@fault("G33", "every dry run pays for a measurement", "budgets of 15 s or more are not compared")
@pytest.mark.parametrize(("budget", "start", "refused"), [(4, 4.0, True), (5, 4.0, False), (15, 99.0, False)])
def test_only_short_budgets_are_compared(budget: float, start: float, refused: bool) -> None:
    sample = {"images": None, "budget_seconds": budget}
    values = {"reports": {"own": ["own"]}, "targets": ["own"], "experiments": {"own": experiment({"sample": sample})}}
    plan = Plan(config.parse(values))
    if not refused:
        fitting.refuse_budgets_that_a_start_uses_up(plan, lambda: start)
        return
    with pytest.raises(UserError, match=r"budget_seconds 4: on this machine a program takes 4\.0 s .* at least 8"):
        fitting.refuse_budgets_that_a_start_uses_up(plan, lambda: start)
