"""A user's own folder of pictures becomes an experiment by a block of ten lines."""

from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from .conftest import copy_project, snakemake

BLOCK = """
reports: {mine: [mine]}
experiments:
  mine:
    source: {kind: folder, path: my pictures, size: 8, validation_per_class: 5, test_per_class: 10}
    model: {patch_size: 4, embed_dim: 32, depth: 2, num_heads: 2}
    train: {iterations: 20, slice_iterations: 20, batch_size: 16, learning_rate: 1e-3}
    fid: {every: 20, images: 50, features: classifier}
    sample: {images: 60}
    select: {method: classifier, label_noise: relabel}
    evaluate: {seeds: [0], protocol: {steps: 5, width: 16, augment: scale_rotate}}
"""


@pytest.mark.slow
def test_ten_lines_make_an_experiment_on_a_folder(tmp_path: Path) -> None:
    assert len(BLOCK.strip().splitlines()) == 10
    folder = copy_project(tmp_path)
    pictures, labels = load_digits(n_class=3, return_X_y=True)
    for number, (picture, label) in enumerate(zip(pictures[:120], labels[:120], strict=True)):
        name = folder / "my pictures" / ("null", "eins", "zwei und mehr")[label] / f"{number}.png"
        name.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((picture.reshape(8, 8) * 15.9).astype("uint8")).save(name)
    (folder / "tiny.yaml").write_text(BLOCK)
    done = snakemake(folder, "results/reports/mine/report.html")
    assert done.returncode == 0, done.stderr[-4000:]
    runs = pd.read_csv(folder / "results/mine/accuracy.csv")
    assert runs["images"].tolist() == [60] and runs["accuracy"].between(0, 1).all()
    assert "mine" in (folder / "results/reports/mine/summary.txt").read_text()
    again = snakemake(folder, "--dry-run", "results/reports/mine/report.html")
    assert "Nothing to be done" in again.stdout + again.stderr
