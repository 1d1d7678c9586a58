"""Real snakemake runs of a tiny experiment: what appears, what reruns, what is refused."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from diffdistill.data import image_files
from tests.workflow.conftest import REPOSITORY, offline, snakemake

pytestmark = pytest.mark.slow


def planned(run: subprocess.CompletedProcess[str]) -> set[str]:
    """The rules that a dry run would run."""
    assert run.returncode == 0, run.stdout + run.stderr
    return set(re.findall(r"^(?:local)?rule (\w+):", run.stdout + run.stderr, flags=re.MULTILINE))


def test_everything_promised_appears(finished: Path) -> None:
    results = finished / "results"
    report = results / "reports/demo"
    for name in ("report.html", "summary.txt", "tables/accuracy.md", "tables/models.tex", "figures/fid_curve.pdf"):
        assert (report / name).stat().st_size > 0
    for name in ("report.html", "summary.txt"):
        assert (results / name).read_bytes() == (report / name).read_bytes()
    accuracy = pd.read_csv(results / "digits/accuracy.csv")
    assert list(accuracy.columns) == [
        "experiment", "train_set", "images", "seed", "accuracy", "macro_accuracy", "worst_class_accuracy", "epochs",
        "seconds", "protocol",
    ]  # fmt: skip
    assert list(accuracy.seed) == [0, 1, 2] and accuracy.accuracy.between(0, 1).all()
    baselines = pd.read_csv(results / "digits/baselines.csv")
    assert sorted(set(baselines.train_set)) == ["real", "real-random"] and len(baselines) == 6
    fid = pd.read_csv(results / "digits/fid.csv")
    assert list(fid.step) == [20, 40]
    checkpoint = json.loads((results / "digits/checkpoint.json").read_text())
    assert checkpoint["step"] == fid.step[fid.fid.idxmin()]
    assert list(pd.read_csv(results / "digits/loss.csv").iteration) == list(range(5, 41, 5))


def test_it_ran_without_a_network(finished: Path) -> None:
    """On compute nodes there often is none; the fixture takes it away."""
    if not offline():
        pytest.skip("this user may not take the network away from a process (unshare -n)")
    assert (finished / "results/report.html").stat().st_size > 10_000


def test_the_budget_is_kept_and_the_set_is_balanced(finished: Path) -> None:
    account = json.loads((finished / "results/digits/samples.json").read_text())
    assert account["used_seconds"] <= account["budget_seconds"]
    if not account["images_discarded_late"]:  # a held-up machine spends the rest of its budget on what is discarded
        assert sum(account["seconds"].values()) == pytest.approx(account["used_seconds"], abs=0.1)
    samples = image_files.load(finished / "results/digits/samples.safetensors")
    assert len(samples.labels) == account["images"]
    assert torch.equal(samples.labels, torch.arange(account["images"]) % 10)


def forms(session: str) -> list[str]:
    """Its lines of jobs, sorted, without what another run or machine changes: numbers, keys, results."""
    lines = [line.split(";")[0] for line in session.splitlines() if re.match(r"\d\d:|\$ ", line)]
    return sorted(re.sub(r"\b[0-9a-f]{8}\b|[\d.:]+( [kM]?B\b)?", "#", line) for line in lines)


def test_the_recorded_terminal_is_what_a_run_prints(finished: Path) -> None:
    run = finished.parent / "terminal.txt"
    assert forms((REPOSITORY / "docs/demo.txt").read_text()) == forms(run.read_text()), f"copy {run} to docs/demo.txt"


def test_a_finished_demo_has_nothing_to_do(finished: Path) -> None:
    assert planned(snakemake(finished, "-n", "demo")) == {"demo"}  # which copies the page


@pytest.mark.parametrize(
    ("change", "reruns", "stays"),
    [
        (
            "{fid: {images: 70}}",
            {"fid", "checkpoint", "sample", "evaluate"},
            {"prepare", "train", "weights", "history"},
        ),
        (
            "{evaluate: {protocol: {learning_rate: 0.04}}}",
            {"evaluate", "real_run", "baseline", "accuracy", "report"},
            {"prepare", "train", "weights", "fid_reference", "fid", "checkpoint", "sample", "selection"},
        ),
        ("{train: {learning_rate: 0.005}}", {"train", "weights", "fid", "sample"}, {"prepare", "fid_reference"}),
    ],
)
def test_a_changed_value_reruns_what_follows_and_nothing_before(
    finished: Path, change: str, reruns: set[str], stays: set[str]
) -> None:
    rules = planned(snakemake(finished, "-n", "demo", "--config", f"experiments={{digits: {change}}}"))
    assert rules >= reruns
    assert not rules & stays


def test_only_evaluations_read_the_test_split(finished: Path) -> None:
    run = snakemake(finished, "-n", "--forceall", "demo")
    assert run.returncode == 0
    blocks = re.split(r"\n(?=(?:local)?rule \w+:)", run.stdout + run.stderr)
    readers = {
        match.group(1)
        for block in blocks
        if (match := re.match(r"(?:local)?rule (\w+):", block))
        and re.search(r"^\s+input:.*test\.safetensors", block, flags=re.MULTILINE)
    }
    assert readers == {"evaluate", "real_run", "baseline"}


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["demo", "--config", "experiments={digits: {train: {itterations: 5}}}"], ["itterations", "'iterations'"]),
        (["demo", "--config", "experiments={digits: {train: {iterations: soon}}}"], ["train.iterations", "soon"]),
        (["results/digitss/accuracy.csv"], ["digitss", "digits"]),
        (["demo", "--config", "targets=[mnist]"], ["mnist", "demo"]),
        (["demo", "--config", "experiments={digits: null}"], ["no report 'demo'"]),
        (["results/reports/mine/report.html"], ["no report 'mine'"]),
        (["results/digits/train/33.safetensors"], ["33", "slices end at"]),
        (
            ["demo", "--config", "experiments={digits: {source: {kind: folder, path: data/digits}}}"],
            ["source.path data/digits", "move the pictures"],
        ),
    ],
)
def test_mistakes_show_in_the_dry_run(project: Path, arguments: list[str], parts: list[str]) -> None:
    run = snakemake(project, "-n", *arguments)
    assert run.returncode != 0
    for part in parts:
        assert part in run.stdout + run.stderr
    assert not (project / "results").exists() and not (project / "data").exists()


def test_the_dry_run_imports_no_torch(project: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "snakemake", "--configfile", "tiny.yaml", "-n", "demo"]
    run = subprocess.run(command, cwd=project, capture_output=True, text=True)
    assert run.returncode == 0 and "diffdistill.config" in run.stderr
    assert not re.search(r"\|\s+torch$", run.stderr, flags=re.MULTILINE)


def test_other_class_names_than_the_test_set_are_refused(finished: Path, project: Path) -> None:
    shutil.copytree(finished / "data", project / "data")
    samples = image_files.load(finished / "results/digits/distilled.safetensors")
    renamed = {**samples.metadata, "classes": json.dumps(samples.classes[::-1])}
    image_files.save(project / "renamed.safetensors", samples.images, samples.labels, renamed)
    protocol = '{"steps": 2, "width": 8}'
    settings = f'{{"train_set": "distilled", "seed": 0, "protocol": {protocol}}}'
    command = [sys.executable, "-m", "diffdistill", "evaluate", "--settings", settings]
    command += ["--in", "train=renamed.safetensors", "test=data/digits/test.safetensors", "--out", "accuracy=out.json"]
    run = subprocess.run(command, cwd=project, capture_output=True, text=True)
    assert run.returncode == 2 and "Traceback" not in run.stderr
    assert "renamed.safetensors" in run.stderr and "class" in run.stderr
    assert not (project / "out.json").exists()
