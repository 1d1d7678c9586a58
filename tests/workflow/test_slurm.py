"""The paper's two data sets, shrunk, from archives to figures by a real one-node SLURM, with jobs lost on the way."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from benchmarks.slurm import SNAKEMAKE, freeze, jobs, running, wait_for

from .conftest import REPOSITORY, copy_project

pytestmark = pytest.mark.slow
SMALL = """
experiments:
  cifar100: &small
    threads: 1
    source: {{urls: [], checksum: null, path: {shared}/data/cifar-100-python.tar.gz}}
    model: {{patch_size: 8, embed_dim: 32, depth: 2, num_heads: 2}}
    train:
      iterations: 120
      slice_iterations: 60
      batch_size: 16
      devices: 2
      start: null
      save_seconds: 0.01
      log_every: 20
    fid:
      every: 60
      images: 100
      features: classifier
      devices: 2
      solver: {{algorithm: dpmsolver++, method: multistep, order: 2, nfe: 2, t_end: 1e-3}}
    classifier: {{protocol: {{steps: 2, width: 16, batch_size: 64}}}}
    sample:
      budget_seconds: null
      images: 200
      solver: {{algorithm: dpmsolver++, method: multistep, order: 2, nfe: 2, t_end: 1e-3}}
    evaluate: {{seeds: [0], protocol: {{epochs: null, steps: 2, width: 16, batch_size: 64}}}}
    audit: null
  tinyimagenet: # without FID: the last checkpoint is sampled
    <<: *small
    fid: null
    train: {{iterations: 120, slice_iterations: 60, batch_size: 16, start: null, save_seconds: 0.01, devices: 1}}
    source:
      urls: []
      checksum: null
      path: {shared}/data/tiny-imagenet-200-subset.zip
      validation_per_class: 10
"""
Project = tuple[Path, Callable[..., list[str]]]


@pytest.fixture
def project(tmp_path: Path, shared: Path, cluster: None) -> Iterator[Project]:
    folder = copy_project(tmp_path / "project")
    (folder / "small.yaml").write_text(SMALL.format(shared=shared))

    def command(*arguments: str) -> list[str]:
        return [*SNAKEMAKE, "--configfile=small.yaml", *arguments]

    yield folder, command
    subprocess.run(["scancel", "--full", "--user", "root"], check=False)


def test_both_data_sets_from_archives_to_figures_with_jobs_lost_on_the_way(project: Project) -> None:
    folder, command = project

    def progress(name: str) -> str:
        return f"results/{name}/train/60.progress.safetensors"

    def logs(name: str) -> str:
        return "".join(log.read_text() for log in sorted((folder / f"logs/{name}/train").rglob("*.log")))

    # the first slice of cifar100 is cancelled, that of tinyimagenet hangs until its minute is over; both are taken up
    # the minute stands in the profile: on the command line it would replace all that the profile sets
    profile = folder / "slurm/config.yaml"
    given = profile.read_text()
    profile.write_text(given.replace("  train:\n", "  train:\n    runtime: 1\n"))
    assert profile.read_text() != given
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command("all"), cwd=folder, **quiet) as submitting:

        def cancel() -> None:
            freeze(
                folder, "state=results/cifar100/train/60.safetensors"
            )  # it would be done before the scheduler has acted
            subprocess.run(["scancel", *running("rule_train_wildcards_cifar100")], check=True)

        disturb = {
            "cifar100": cancel,
            "tinyimagenet": lambda: freeze(folder, "state=results/tinyimagenet/train/60.safetensors"),
        }

        def all_disturbed() -> bool:
            assert submitting.poll() is None, "it ended before its jobs were disturbed"
            for name in [name for name in disturb if (folder / progress(name)).exists()]:
                disturb.pop(name)()
            return not disturb

        wait_for(all_disturbed, 400, "the first saves of both data sets")

        def all_resumed() -> bool:
            return all(f"resuming from {progress(name)}" in logs(name) for name in ("cifar100", "tinyimagenet"))

        # now: a job whose end the submitting process does not see is repeated, with a new log
        wait_for(all_resumed, 600, "the second attempts of both data sets")
        submitting.send_signal(signal.SIGKILL)  # and what it had submitted runs on
    profile.write_text(given)
    done = subprocess.run(command("all"), cwd=folder, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-8000:]

    ran = {number: job for number, job in jobs().items() if job["WorkDir"] == str(folder)}
    states = [job["JobState"] for job in ran.values() if job["Comment"].startswith("rule_train_")]
    assert "CANCELLED" in states and "TIMEOUT" in states
    trained = [job for job in ran.values() if job["Comment"].startswith("rule_train_")]
    assert {job["TresPerJob"] for job in trained} == {"gres:gpu:2", "gres:gpu:1"}
    assert {job["Partition"] for job in trained} == {"gpu"} and {job["NumNodes"] for job in trained} == {"1"}
    prepared = [job for job in ran.values() if job["Comment"].startswith("rule_prepare_")]
    assert {job["Partition"] for job in prepared} == {"cpu"}
    for name in ("cifar100", "tinyimagenet"):
        iterations = pd.read_csv(folder / f"results/{name}/loss.csv")["iteration"].tolist()
        assert iterations == sorted(set(iterations)) and iterations[-1] == 120
        assert len(pd.read_csv(folder / f"results/{name}/accuracy.csv")) == 1
        assert not list((folder / f"results/{name}").rglob("*progress*"))
        assert (folder / f"results/reports/paper/figures/classes_{name}.pdf").exists()
    fid = pd.read_csv(folder / "results/cifar100/fid.csv")
    assert fid["step"].tolist() == [60, 120]  # none lost, none twice
    assert (folder / "results/report.html").stat().st_size > 10_000
    leaderboard = pd.read_csv(folder / "results/reports/paper/tables/leaderboard.csv")
    assert len(leaderboard) and not leaderboard["team"].str.contains("ours").any()  # its protocol is no track's


def test_the_benchmark_of_kills_runs_at_toy_size(cluster: None) -> None:
    """Here, not beside the other benchmarks: it disturbs whatever the cluster runs."""
    command = [sys.executable, "-m", "benchmarks.slurm_kills", "--rounds", "10", "--toy"]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=600)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.count("| yes |") >= 1
