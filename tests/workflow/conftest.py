"""A copy of the workflow with a tiny experiment, and one finished run of it that the tests share."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import projects

REPOSITORY = Path(__file__).parents[2]
TINY = """
experiments:
  digits:
    model: {embed_dim: 32, depth: 2, num_heads: 2}
    train: {iterations: 40, slice_iterations: 20, batch_size: 16, warmup_iterations: 5, log_every: 5}
    fid: {every: 10, images: 60}
    classifier: {protocol: {steps: 5, width: 16}}
    sample: {budget_seconds: 15}
    evaluate: {protocol: {steps: 5, width: 16}}
"""

Snakemake = Callable[..., subprocess.CompletedProcess[str]]


def copy_project(folder: Path) -> Path:
    """The files that a user gets, without any results, and the tiny experiment as tiny.yaml."""
    projects.copy(folder)
    (folder / "tiny.yaml").write_text(TINY)
    return folder


def snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run snakemake in a project folder on the tiny experiment; both outputs as text."""
    command = [sys.executable, "-m", "snakemake", "--configfile", "tiny.yaml", "--cores", "2", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=500, stdin=subprocess.DEVNULL)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A fresh copy."""
    return copy_project(tmp_path / "project")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which the demo has run; tests must not change it."""
    folder = copy_project(tmp_path_factory.mktemp("finished") / "project")
    run = snakemake(folder, "demo")
    assert run.returncode == 0, run.stdout + run.stderr
    return folder
