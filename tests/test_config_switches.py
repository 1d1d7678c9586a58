"""Settings that need each other are named together, before any job."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from diffdistill import config
from diffdistill.errors import UserError

PLAIN = yaml.safe_load((Path(__file__).parents[1] / "config.yaml").read_text())
TUNE = {"iterations": 10, "batch_size": 8}
LEAPS = {"algorithm": "consistency", "steps": 2}


def parsed(**blocks: Any) -> config.Experiment:
    values = copy.deepcopy(PLAIN)
    digits = values["datasets"]["digits"]
    for name, block in blocks.items():
        digits[name] = {**(digits.get(name) or {}), **block}
    return config.parse(values).experiment("digits")


@pytest.mark.parametrize(
    ("blocks", "parts"),
    [
        ({"sample": {"guidance": {"weight": 1.5}}}, ["sample.guidance", "train.label_dropout"]),
        ({"sample": {"guidance": {"weight": 2, "from_step": 1500}}}, ["guidance.from_step: 1500", "fid.every 1000"]),
        ({"sample": {"guidance": {"weight": 2, "from_step": 9000}}}, ["from_step: 9000", "up to train.iterations"]),
        ({"sample": {"guidance": {"weight": 2, "interval": [0.5, 0.1]}}}, ["interval [0.5, 0.1] must rise"]),
        ({"sample": {"solver": LEAPS}}, ["sample.solver.algorithm 'consistency'", "block tune"]),
        ({"fid": {"solver": LEAPS}, "tune": TUNE}, ["fid.solver", "'consistency'"]),
        (
            {"sample": {"solver": LEAPS, "guidance": {"weight": 2, "from_step": 1000}}, "tune": TUNE},
            ["sample.guidance", "'consistency' exclude"],
        ),
        (
            {"sample": {"solver": LEAPS}, "tune": TUNE, "choose": {"by": "pilot"}},
            ["choose.by 'pilot'", "choose by fid"],
        ),
        ({"train": {"augment": "flip_cutout"}}, ["unknown family 'cutout'", "crop"]),
        ({"train": {"subclasses": 2, "start": {"path": "a.pth"}}}, ["subclasses", "start weights"]),
        ({"train": {"label_dropout": 1}}, ["train.label_dropout"]),
        ({"train": {"loss_weight": "minsnr"}}, ["train.loss_weight", "min_snr"]),
        ({"tune": {**TUNE, "warmup_iterations": 10}}, ["warmup_iterations 10 must be below iterations 10"]),
    ],
)
def test_what_does_not_fit_is_named(blocks: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        parsed(**blocks)
    lines = str(caught.value).splitlines()
    assert len(lines) == 1 and all(part in lines[0] for part in parts)


@pytest.mark.parametrize(
    "blocks",
    [
        {"sample": {"guidance": {"weight": 1.5}}, "train": {"label_dropout": 0.1}},
        {"sample": {"guidance": {"weight": 1.5, "from_step": 2000, "interval": [0.1, 0.5]}}},
        {"sample": {"solver": LEAPS}, "tune": TUNE},
        {"tune": TUNE},
        {"train": {"subclasses": 3, "augment": "crop_scale", "loss_weight": "min_snr", "times": "logit_normal"}},
    ],
)
def test_what_fits_is_taken(blocks: dict[str, Any]) -> None:
    assert parsed(**blocks) != parsed()
