"""A set or a generator from elsewhere goes from its file to the report, beside others on the same data."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from diffdistill.data import digits
from diffdistill.diffusion import checkpoints
from diffdistill.diffusion.labels import LabelSpace
from diffdistill.runtime import files
from tests.data.pictures import classes, put
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


IN_FOLDERS = """
reports: {judged: [mine]}
experiments:
  mine:
    source: {kind: folder, path: pics, validation_per_class: 1, test_per_class: 1}
    generator: {kind: samples, path: made}
    evaluate: {protocol: {steps: 5, width: 16}}
"""


def test_a_changed_picture_of_a_finished_set_is_noticed(tmp_path: Path) -> None:
    folder, target = copy_project(tmp_path / "project"), "results/mine/samples.safetensors"
    (folder / "tiny.yaml").write_text(IN_FOLDERS)
    for name in ("pics", "made"):
        put(folder / name, *classes(5, "a", "b"))
    done = snakemake(folder, target)
    assert done.returncode == 0, done.stderr

    def runs_again() -> bool:
        planned = snakemake(folder, "--dry-run", target)
        assert planned.returncode == 0, planned.stderr
        return "rule import_set:" in planned.stdout + planned.stderr

    assert not runs_again()
    whole, dates = (folder / "made/b/4.png").read_bytes(), (folder / "made/b/4.png").stat()
    (folder / "made/b/4.png").write_bytes((folder / "made/a/0.png").read_bytes())
    assert runs_again()
    (folder / "made/b/4.png").write_bytes(whole)
    os.utime(folder / "made/b/4.png", ns=(dates.st_atime_ns, dates.st_mtime_ns))
    assert not runs_again()
    (folder / "made/b/new.png").write_bytes(whole)
    assert runs_again()
