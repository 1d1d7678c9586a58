"""A resampling is the main set with another seed and as many images."""

import json
from pathlib import Path

from diffdistill import config
from diffdistill.config import stages
from tests import command


def test_a_resampling_repeats_the_main_set_with_another_seed(tmp_path: Path) -> None:
    (tmp_path / "samples.json").write_text(json.dumps({"images": 123, "plan": {"precision": "bfloat16"}}))
    sample = config.Sample(budget_seconds=20, seed=5, batch_size=7)
    settings, out = stages.ResamplingSettings(sample=sample, resampling=2), tmp_path / "settings.json"
    account = {"account": tmp_path / "samples.json"}
    assert command.run("resampling_settings", settings, account, {"settings": out}) == 0
    changed = sample.changed(budget_seconds=None, images=123, seed=7, precision="bfloat16")
    assert config.read(stages.Sample, json.loads(out.read_text()), "here").sample == changed
