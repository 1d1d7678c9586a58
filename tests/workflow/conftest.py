"""A copy of the workflow with a tiny experiment, and one finished run of it that the tests share."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from filelock import FileLock

from benchmarks import projects

REPOSITORY = Path(__file__).parents[2]
TINY = """
experiments:
  digits:
    model: {channels: 8, num_heads: 2}
    train: {iterations: 40, slice_iterations: 20, batch_size: 16, warmup_iterations: 5, log_every: 5}
    fid: {every: 20, images: 60}
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


def offline() -> list[str]:
    """What takes the network away from a command put behind it; empty if this user may not."""
    command = ["unshare", "-n"]
    allowed = shutil.which("unshare") and not subprocess.run([*command, "true"], capture_output=True).returncode
    return command if allowed else []


def snakemake(folder: Path, *arguments: str, before: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """Run snakemake in a project folder on the tiny experiment; both outputs as text. before: starts the command."""
    command = [*before, sys.executable, "-m", "snakemake", "--configfile", "tiny.yaml", "--cores", "2", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=500, stdin=subprocess.DEVNULL)


def session(said: str, summary: str) -> str:
    """A run as docs/demo.txt records it: the lines of jobs, and the summary that `make demo` prints after them."""
    lines = [line for line in said.splitlines() if re.match(r"\d\d:\d\d:\d\d ", line)]
    commands = "$ .venv/bin/snakemake --configfile tiny.yaml --cores 2 demo", "$ cat results/summary.txt"
    return "\n".join([commands[0], *lines, commands[1], summary])


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A fresh copy."""
    return copy_project(tmp_path / "project")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which the demo has run, without a network where that can be taken away; tests must not change it.

    Made once for all processes that run tests.
    """
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared
    with FileLock(shared / "finished.lock"):
        folder, terminal = shared / "finished/project", shared / "finished/terminal.txt"
        if not terminal.exists():
            run = snakemake(copy_project(folder), "demo", before=offline())
            assert run.returncode == 0, run.stdout + run.stderr
            terminal.write_text(session(run.stderr, (folder / "results/summary.txt").read_text()))
    return folder


@pytest.fixture(scope="session")
def cluster(shared: Path) -> None:
    """A SLURM cluster on this machine that counts four GPUs; nothing real is behind them."""
    start = shared / "slurm/start-slurm"
    if not start.is_file() or os.geteuid() != 0:
        pytest.skip(f"no SLURM to test with: {start} is missing, or this is not root")
    with FileLock(Path(tempfile.gettempdir()) / "diffdistill-slurm.lock"):  # one of several workers at a time
        subprocess.run([start], check=True, capture_output=True, timeout=300)
