"""A set or a generator from elsewhere goes from its file to the report, beside others on the same data."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from diffdistill.data import digits
from diffdistill.diffusion import checkpoints
from diffdistill.diffusion.labels import LabelSpace
from diffdistill.runtime import files
from tests.diffusion.models import busy
from tests.generators.making import save_dit

from .conftest import REPOSITORY, copy_project, snakemake

BLOCKS = """
reports: {judged: [finished, gaussians, denoiser, pipeline]}
experiments:
  finished: &shared
    dataset: digits
    source: {kind: digits, validation_per_class: 10, test_per_class: 40}
    generator: {kind: samples, path: theirs.npz}
    evaluate: &evaluate {seeds: [0], protocol: {steps: 5, width: 16, augment: scale_rotate}}
    audit: {images: 20, members: 20}
  gaussians:
    <<: *shared
    generator: {kind: python, path: gaussians.py, name: Gaussians}
    sample: {images: 40}
  denoiser:
    <<: *shared
    generator: {kind: weights, path: theirs.safetensors}
    sample: {images: 30, solver: {nfe: 2}}
  pipeline:
    <<: *shared
    generator: {kind: pipeline, path: theirs, steps: 2, classes: as_source}
    sample: {images: 20}
"""
REPORT = "results/reports/judged/report.html"


@pytest.mark.slow
def test_from_a_file_to_the_report(tmp_path: Path) -> None:
    folder = copy_project(tmp_path / "project")
    raw = digits.read()
    np.savez(folder / "theirs.npz", images=np.asarray(raw.train_images)[:50] / 255, labels=raw.train_labels[:50])
    shutil.copy(REPOSITORY / "docs/gaussians.py", folder)
    denoiser = busy(labels=LabelSpace(num_classes=10))
    checkpoints.save_denoiser(
        folder / "theirs.safetensors", denoiser, {"classes": json.dumps(raw.classes), "step": "1"}
    )
    save_dit(folder / "theirs")
    (folder / "tiny.yaml").write_text(BLOCKS)
    done = snakemake(folder, REPORT)
    assert done.returncode == 0, done.stderr[-4000:]
    for name, images in (("finished", 50), ("gaussians", 40), ("denoiser", 30), ("pipeline", 20)):
        runs = pd.read_csv(folder / f"results/{name}/accuracy.csv")
        assert runs["images"].tolist() == [images] and runs["accuracy"].between(0, 1).all()
        account = files.read_record(folder / f"results/{name}/samples.json", "images")
        assert account["images"] == images
        assert name in (folder / REPORT).read_text()
