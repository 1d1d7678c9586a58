"""The block `refine`: defaults that work, what is refused, and the jobs that follow from it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from diffdistill import config
from diffdistill.config import Experiment, Protocol, Refine
from diffdistill.errors import UserError
from diffdistill.planning import report
from diffdistill.planning.inputs import INPUTS
from diffdistill.planning.plan import Plan
from diffdistill.planning.settings import SETTINGS


def experiment(**changes: Any) -> dict[str, Any]:
    given: dict[str, Any] = yaml.safe_load((Path(__file__).parents[2] / "config.yaml").read_text(encoding="utf-8"))
    given["experiments"]["digits"] |= changes
    return given


def planned(refine: dict[str, Any]) -> tuple[Plan, Any]:
    return Plan(config.parse(experiment(refine=refine))), SimpleNamespace(experiment="digits")


def test_what_is_null_comes_from_the_protocol() -> None:
    protocol = Protocol(steps=100, augment="scale", augment_mode="each", width=7)
    block = Refine().completed(protocol)
    assert (block.augment, block.augment_mode, block.width) == ("scale", "each", 7)
    assert block.validation == protocol.model_copy(update={"steps": 25})
    own = Refine(augment="", width=3, validation=protocol).completed(protocol)
    assert (own.augment, own.width, own.validation) == ("", 3, protocol)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"network_steps": 1}, "network_iterations must be above 1"),
        ({"validation_seeds": [1, 1]}, "contain one twice"),
        ({"parametrisation": "latent", "factor": 2}, "a generator makes one image of one noise"),
        ({"parametrisation": "latent", "start": "real"}, "the noise of real images is unknown"),
        ({"method": "trajectories"}, "distribution_matching"),
        ({"iteration": 3}, "did you mean 'iterations'"),
    ],
)
def test_what_does_not_fit_is_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        config.read(Refine, values, "refine")


@pytest.mark.parametrize("start", ["generated", "real", "noise"])
def test_only_a_generated_start_needs_samples(start: str) -> None:
    plan, wildcards = planned({"start": start})
    files = INPUTS["refine"](plan, wildcards)
    assert files["train"] == "data/digits/train.safetensors" and "test" not in files
    assert files.get("start") == ("results/digits/selected.safetensors" if start == "generated" else None)
    settings = SETTINGS["refine"](plan, wildcards)
    assert settings.model_dump()["refine"]["start"] == start
    sample_sets = ("random-samples", "all-samples") if start == "generated" else ()
    assert plan.experiment(wildcards).sample_sets == sample_sets


@pytest.mark.parametrize("start", ["real", "noise"])
def test_nothing_else_is_made_for_a_start_without_a_generator(start: str) -> None:
    """With the blocks of the generator, as a second file leaves them, or without."""
    plan, wildcards = planned({"start": start})
    one = plan.experiment(wildcards)
    assert not (one.generates or one.trains or one.samples) and one.train is None and one.sample is None
    files = report.files_of(plan, "digits")
    assert files.refined == "results/digits/refined.json" and files.audit == "results/digits/audit.json"
    assert (files.samples, files.account, files.fid, files.loss) == (None, None, None, None)
    assert INPUTS["audit"](plan, wildcards)["weights"] == []
    card = INPUTS["export_card"](plan, wildcards)
    assert card["account"] == [] and card["refined"] == ["results/digits/refined.json"]
    given = experiment(refine={"start": start})
    for name in ("model", "train", "fid", "checkpoint", "tune", "sample"):
        del given["experiments"]["digits"][name]
    assert Plan(config.parse(given)).experiment(wildcards) == one


def test_the_challenge_of_ten_images_per_class() -> None:
    """config/track1.yaml takes the data of config.yaml, and refines what the protocol tests."""
    root = Path(__file__).parents[2]
    given, track1 = (
        yaml.safe_load((root / path).read_text(encoding="utf-8"))["experiments"]
        for path in ("config.yaml", "config/track1.yaml")
    )
    for name in ("cifar100", "tinyimagenet"):
        assert track1[f"{name}_track1"]["source"] == given[name]["source"]
        one = config.read(Experiment, track1[f"{name}_track1"], name)
        assert one.evaluate.protocol.epochs == 1001 and one.refine is not None and one.refine.start_images == 10
        grids = track1[f"{name}_track1"] | {"refine": {"start": "real", "factor": 2}}
        with pytest.raises(UserError, match="track1 tests 10 images per class"):
            config.read(Experiment, grids, name)


def test_latents_need_weights_and_few_evaluations_tuned_ones() -> None:
    plan, wildcards = planned({"parametrisation": "latent", "solver": {"nfe": 2}})
    files = INPUTS["refine"](plan, wildcards)
    assert files["weights"] == "results/digits/checkpoint.safetensors" and "start" not in files
    with pytest.raises(UserError, match="'consistency' needs tuned weights; add the block tune"):
        planned({"parametrisation": "latent"})


def test_studies_that_take_parts_of_the_samples_are_refused() -> None:
    for study in ({"resamplings": 2}, {"budget_fractions": [0.5]}):
        with pytest.raises(UserError, match="refine"):
            config.parse(experiment(refine={}, study=study))
