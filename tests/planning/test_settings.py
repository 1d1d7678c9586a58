"""The settings that rules hand to stages are those of the config, and each rule has a stage."""

import json
import re
from pathlib import Path

import pytest

from diffdistill import config
from diffdistill.config.stages import STAGES
from diffdistill.errors import UserError
from diffdistill.planning.inputs import INPUTS
from diffdistill.planning.settings import SETTINGS, train_fingerprint
from tests.planning.conftest import Planner, wildcards

RULES = "".join(path.read_text() for path in (Path(__file__).parents[2] / "workflow/rules").glob("*.smk"))
NAMES = wildcards(experiment="digits", dataset="digits", seed="1", step="3000", ema="1000", setup="0", resampling="2")


def test_every_provider_is_used_by_a_rule_and_every_stage_is_run_by_one() -> None:
    assert set(re.findall(r'settings\("(\w+)"\)', RULES)) == set(SETTINGS)
    assert set(re.findall(r'\binputs\("(\w+)"\)', RULES)) >= set(INPUTS) - {"accuracy"}
    assert set(re.findall(r'\bstage\(\s*"(\w+)"', RULES)) == set(STAGES)


@pytest.mark.parametrize("rule", ["train", "weights", "fid", "sample", "evaluate", "audit", "history", "export_card"])
def test_settings_survive_the_way_to_the_stage(plan_of: Planner, rule: str) -> None:
    settings = SETTINGS[rule](plan_of(), NAMES)
    text = config.as_json(settings)
    assert config.read(type(settings), json.loads(text), "here") == settings


def test_a_pilot_spends_as_many_evaluations_as_the_set_it_stands_for(plan_of: Planner) -> None:
    change = {"checkpoint": {"by": "pilot", "images": 100}, "sample": {"solver": {"nfe": 7}}}
    pilot = SETTINGS["pilot"](plan_of(x=change), wildcards(experiment="x", setup="0", ema="1000"))
    assert pilot.evaluations == 700  # type: ignore[attr-defined]


def test_only_what_decides_the_state_retrains(plan_of: Planner) -> None:
    def fingerprint(**train: object) -> str:
        return train_fingerprint(plan_of(x={"train": train} if train else {}), wildcards(experiment="x", step="3000"))

    assert fingerprint(slice_iterations=1000, log_every=7, save_seconds=1, micro_batch_size=8) == fingerprint()
    assert fingerprint(learning_rate=1) != fingerprint() != fingerprint(start={"path": "w.pth"})


def test_downloads_are_found_by_their_file(plan_of: Planner) -> None:
    fetch = SETTINGS["fetch"]
    inception = fetch(plan_of(), wildcards(dataset="inception", file="x.pth"))
    assert inception.checksum == config.INCEPTION_CHECKSUM  # type: ignore[attr-defined]
    archive = fetch(plan_of(), wildcards(dataset="cifar100", file="cifar-100-python.tar.gz"))
    assert archive.urls[0].endswith("cifar-100-python.tar.gz")  # type: ignore[attr-defined]
    start = fetch(plan_of(), wildcards(dataset="weights", file="cifar100.pth"))
    assert start.unchecked  # type: ignore[attr-defined]
    with pytest.raises(UserError, match=r"data/raw/weights/none.pth: no experiment's train.start names it"):
        fetch(plan_of(), wildcards(dataset="weights", file="none.pth"))


def test_what_is_null_is_refused_by_name(plan_of: Planner) -> None:
    with pytest.raises(UserError, match="tune is null"):
        SETTINGS["tune"](plan_of(), NAMES)
    with pytest.raises(UserError, match="audit is null"):
        SETTINGS["audit"](plan_of(x={"audit": None}), wildcards(experiment="x"))
