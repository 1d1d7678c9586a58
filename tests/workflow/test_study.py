"""A study by a real snakemake run, on a distilled set that is there; what a longer one adds, and its mistakes."""

import json
from pathlib import Path

import pandas as pd
import pytest

from diffdistill import config
from diffdistill.config import stages
from diffdistill.data import image_files
from diffdistill.diffusion import checkpoints
from diffdistill.diffusion.labels import LabelSpace
from diffdistill.runtime import files
from tests import command
from tests.diffusion import models
from tests.workflow.conftest import snakemake
from tests.workflow.test_demo import planned

STUDY = """
experiments:
  digits:
    threads: 1
    select: {method: random, images: 40}
    evaluate: {seeds: [0, 1], protocol: {steps: 5, width: 8}}
    study: {images_per_class: [2], resamplings: 1}
"""
TARGET = "results/digits/study.csv"


def distil(folder: Path) -> None:
    """What sample and selection leave: 40 images, here real ones, and the weights that drew them, here fresh ones."""
    source = config.Source(kind="digits", validation_per_class=10, test_per_class=40)
    splits = {name: folder / f"data/digits/{name}.safetensors" for name in ("train", "validation", "test")}
    assert command.run("prepare", stages.Prepare(source=source), {}, splits) == 0
    real, results = image_files.load(folder / "data/digits/train.safetensors"), folder / "results/digits"
    denoiser = models.denoiser(labels=LabelSpace(num_classes=10), seed=3)
    made = {"classes": json.dumps(real.classes), "source_checksum": real.metadata["source_checksum"], "step": "5"}
    checkpoints.save_denoiser(results / "checkpoint.safetensors", denoiser, made)
    files.write_json(results / "samples.json", {"images": 60, "plan": {"precision": "float32"}})
    for name, count in (("samples", 60), ("distilled", 40)):
        image_files.save(results / f"{name}.safetensors", real.images[:count], real.labels[:count], made)


@pytest.mark.slow
def test_a_study_of_a_distilled_set(project: Path) -> None:
    distil(project)
    (project / "tiny.yaml").write_text(STUDY)
    assert not planned(snakemake(project, "-n", TARGET)) & {"train", "sample", "selection", "fid"}
    run = snakemake(project, TARGET)
    assert run.returncode == 0, run.stdout + run.stderr
    rows = pd.read_csv(project / "results/digits/study.csv")
    images = rows.groupby(["ablation", "train_set"])["images"].agg(["mean", "count"])
    assert images.to_dict("index") == {
        ("main", "distilled"): {"mean": 40, "count": 2},
        ("main", "all-samples"): {"mean": 60, "count": 2},
        ("main", "real"): {"mean": 1297, "count": 2},
        ("main", "real-random"): {"mean": 40, "count": 2},
        ("resampling-1", "distilled"): {"mean": 40, "count": 2},
        ("size-2", "distilled"): {"mean": 20, "count": 2},
        ("size-2", "real-random"): {"mean": 20, "count": 2},
    }
    drawn = image_files.load(project / "results/digits/resampling/1/samples.safetensors")
    assert len(drawn.labels) == 60
    assert planned(snakemake(project, "-n", TARGET)) == set()
    longer = snakemake(project, "-n", TARGET, "--config", "experiments={digits: {study: {images_per_class: [2, 3]}}}")
    assert planned(longer) == {"study_run", "study"}
    assert (longer.stdout + longer.stderr).count("output: results/digits/study/size-3") == 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["results/digits/study.csv"], ["experiments.digits.study is null", "images_per_class"]),
        (
            ["demo", "--config", "experiments={digits: {study: {architecture: [vgg]}}}"],
            ["'architecture'", "'architectures'"],
        ),
        (
            [
                "results/digits/study/size-3-real/0.json",
                "--config",
                "experiments={digits: {study: {soft_labels: true}}}",
            ],
            ["no 'size-3-real'", "soft-distilled"],
        ),
    ],
)
def test_mistakes_show_in_the_dry_run(project: Path, arguments: list[str], parts: list[str]) -> None:
    run = snakemake(project, "-n", *arguments)
    assert run.returncode != 0
    for part in parts:
        assert part in run.stdout + run.stderr
