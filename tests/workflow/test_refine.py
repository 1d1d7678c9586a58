"""The block `refine` between selection and evaluation: from samples, and from real images, for which none are made."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from diffdistill.data import image_files

from .conftest import REPOSITORY, snakemake

SMALL = "{images_per_class: 2, iterations: 4, validate_every: 2, batch_real: 8, width: 8}"
TRACK1 = """
reports: {{paper: null}}
experiments:
  digits: null
  cifar100: null
  tinyimagenet: null
  cifar100_track1: &small
    threads: 1
    source: {{urls: [], checksum: null, path: {shared}/data/cifar-100-python.tar.gz}}
    refine:
      iterations: 2
      network_iterations: 2
      network_steps: 1
      validate_every: 2
      batch_real: 2
      width: 8
      validation_seeds: [0]
      validation: {{steps: 2, width: 8}}
    evaluate: {{seeds: [0], protocol: {{epochs: null, steps: 2, width: 16, batch_size: 64}}}}
    audit: null
  tinyimagenet_track1:
    <<: *small
    source: {{urls: [], checksum: null, path: {shared}/data/tiny-imagenet-200-subset.zip, validation_per_class: 10}}
"""


@pytest.mark.slow
@pytest.mark.parametrize("start", ["generated", "real"])
def test_a_refined_set_is_what_is_evaluated(start: str, project: Path) -> None:
    few = "fid: null, checkpoint: {by: last}, evaluate: {seeds: [0]}, sample: {budget_seconds: null, images: 100}"
    settings = f"experiments={{digits: {{{few}, refine: {SMALL[:-1]}, start: {start}}}}}}}"
    wanted = [f"results/digits/{name}" for name in ("accuracy.csv", "audit.json")]
    done = snakemake(project, "--config", settings, "--", *(wanted if start == "real" else wanted[:1]))
    assert done.returncode == 0, done.stderr[-4000:]
    made = image_files.load(project / "results/digits/distilled.safetensors")
    assert len(made.labels) == 20
    account = json.loads((project / "results/digits/refined.json").read_text())
    assert account["start"] == start and account["seconds"] > 0
    assert (project / "results/digits/refined.png").stat().st_size > 0
    assert (project / "results/digits/samples.safetensors").exists() == (start == "generated")
    if start == "real":  # four iterations leave real images nearly as they were, which the audit must see
        audit = json.loads((project / "results/digits/audit.json").read_text())
        found = {measure["name"]: measure["verdict"] for measure in audit["measures"]}
        assert found["copies"] == "flagged" and "membership_distance" in found and "membership_loss" not in found


@pytest.mark.slow
def test_ten_images_per_class_of_both_paper_data_sets(project: Path, shared: Path) -> None:
    """config/track1.yaml, with short trainings: from the archives to the report with the published leaderboard."""
    (project / "tiny.yaml").write_text(TRACK1.format(shared=shared))
    shutil.copy(REPOSITORY / "config/track1.yaml", project / "track1.yaml")
    done = snakemake(project, "--configfile", "track1.yaml", "tiny.yaml", "--", "all")
    assert done.returncode == 0, done.stderr[-4000:]
    for name, classes in (("cifar100", 100), ("tinyimagenet", 200)):
        runs = pd.read_csv(project / f"results/{name}_track1/accuracy.csv")
        assert runs["images"].tolist() == [10 * classes]
        assert not (project / f"results/{name}_track1/samples.safetensors").exists()
    assert (project / "results/reports/track1/tables/leaderboard.csv").stat().st_size > 0
    page = (project / "results/reports/track1/report.html").read_text()
    assert page.count("How the set was refined") == 2 and "derived from real images" in page
