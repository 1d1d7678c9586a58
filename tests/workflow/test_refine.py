"""The block `refine` between selection and evaluation: from samples, and from real images, for which none are made."""

import json
from pathlib import Path

import pytest

from diffdistill.data import image_files

from .conftest import snakemake

SMALL = "{images_per_class: 2, iterations: 4, validate_every: 2, batch_real: 8, width: 8}"


@pytest.mark.slow
@pytest.mark.parametrize("start", ["generated", "real"])
def test_a_refined_set_is_what_is_evaluated(start: str, project: Path) -> None:
    few = "fid: null, checkpoint: {by: last}, evaluate: {seeds: [0]}, sample: {budget_seconds: null, images: 100}"
    settings = f"experiments={{digits: {{{few}, refine: {SMALL[:-1]}, start: {start}}}}}}}"
    done = snakemake(project, "--config", settings, "--", "results/digits/accuracy.csv")
    assert done.returncode == 0, done.stderr[-4000:]
    made = image_files.load(project / "results/digits/distilled.safetensors")
    assert len(made.labels) == 20
    account = json.loads((project / "results/digits/refined.json").read_text())
    assert account["start"] == start and account["seconds"] > 0
    assert (project / "results/digits/refined.png").stat().st_size > 0
    assert (project / "results/digits/samples.safetensors").exists() == (start == "generated")
