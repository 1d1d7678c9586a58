"""What is planned for what is asked for: no target means `all`, names decide, shared results are made once."""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.workflow.conftest import copy_project, snakemake

TWO = """
reports: {both: [digits, other]}
experiments:
  digits: {fid: {every: 650}}
  other:
    dataset: digits
    source: {kind: digits, validation_per_class: 10, test_per_class: 40}
    model: {kind: unet, channels: 8, multipliers: [1, 2]}
    train: {iterations: 10, slice_iterations: 10, batch_size: 8}
    fid: {every: 10, images: 100, features: classifier}
    sample: {images: 100}
    evaluate: {protocol: {steps: 1300, batch_size: 64, width: 64, learning_rate: 0.03, schedule: onecycle,
                          augment: scale_rotate, augment_mode: each, mean: [0.0], std: [0.37]}}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dry runs change nothing."""
    folder = copy_project(tmp_path_factory.mktemp("targets") / "project")
    (folder / "archive").write_bytes(b"")
    local = "source: {urls: [], checksum: null, path: archive}"
    start = "train: {start: null}"
    (folder / "tiny.yaml").write_text(
        f"experiments:\n  cifar100: {{{local}, {start}}}\n  tinyimagenet: {{{local}, {start}}}\n"
    )
    return folder


def plan(folder: Path, *arguments: str, environment: dict[str, str] | None = None) -> str:
    """The jobs of a dry run, as Snakemake prints them."""
    command = [sys.executable, "-m", "snakemake", "--configfile", "tiny.yaml", "-n", *arguments]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, env={**os.environ, **(environment or {})})
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout + run.stderr


def outputs(printed: str) -> set[str]:
    return set(re.findall(r"^ *output: (.*)", printed, flags=re.MULTILINE))


def jobs(printed: str) -> Counter[str]:
    return Counter(re.findall(r"^ *(?:local)?rule (\w+):", printed, flags=re.MULTILINE))


def test_no_target_means_all(project: Path) -> None:
    asked = outputs(plan(project, "all"))
    assert any("results/reports/paper/report.html" in output for output in asked)
    assert outputs(plan(project)) == asked == outputs(plan(project, "-s", "workflow/Snakefile"))


@pytest.mark.parametrize("arguments", [["--jobname", "demo.{jobid}"], ["--until", "report", "--omit-from", "demo"]])
def test_words_of_the_command_line_decide_nothing(project: Path, arguments: list[str]) -> None:
    printed = plan(project, "all", *arguments)
    assert "results/reports/paper/report.html" in printed and "results/digits" not in printed


def test_the_same_page_is_planned_however_it_is_asked_for(project: Path) -> None:
    by_rule, by_name = plan(project, "demo"), plan(project, "results/reports/demo/report.html")
    assert outputs(by_rule) == outputs(by_name) and "cifar100" not in by_rule


def test_what_two_experiments_share_is_made_once(project: Path) -> None:
    (project / "two.yaml").write_text(TWO)
    printed = plan(project, "results/reports/both/report.html", "--configfile", "two.yaml")
    found = jobs(printed)
    assert (found["prepare"], found["classifier"], found["fid_reference"], found["real_run"]) == (1, 1, 1, 3)
    assert (found["sample"], found["evaluate"], found["audit"]) == (2, 6, 2)


@pytest.mark.parametrize(("visible", "gpus"), [("", 0), ("0,1,2,3,4", 4)])
def test_local_jobs_ask_for_no_more_gpus_than_there_are(project: Path, visible: str, gpus: int) -> None:
    target = "results/cifar100/train/20000.safetensors"
    printed = plan(project, target, environment={"CUDA_VISIBLE_DEVICES": visible})
    block = printed[printed.index(f"output: {target}") :]
    asked = re.search(r"gpu=(\d+)", block)
    assert (int(asked.group(1)) if asked else 0) == gpus


def test_every_rule_that_computes_declares_a_gpu() -> None:
    rules = "".join(path.read_text() for path in (Path(__file__).parents[2] / "workflow/rules").glob("*.smk"))
    blocks = re.split(r"^(?=rule |use rule )", rules, flags=re.MULTILINE)
    on_cpu = {"fetch", "prepare", "import_set", "export", "export_card"}
    for block in blocks:
        if (name := re.match(r"rule (\w+):", block)) and "localrule: True" not in block and name[1] not in on_cpu:
            assert re.search(r"^ +gpu=", block, flags=re.MULTILINE), name[1]


def test_a_comparison_makes_what_its_sets_need_and_no_more(project: Path) -> None:
    (project / "compared.yaml").write_text(
        "comparisons: {mine: [digits, twice, real_5_per_class]}\n"
        "experiments:\n"
        "  twice:\n"
        "    dataset: digits\n"
        "    source: {kind: digits, validation_per_class: 10, test_per_class: 40}\n"
        "    generator: {kind: samples, path: archive}\n"
        "    evaluate: {protocol: {steps: 1300, batch_size: 64, width: 64, learning_rate: 0.03, schedule: onecycle,\n"
        "      augment: scale_rotate, augment_mode: each, mean: [0.0], std: [0.37]}}\n"
    )
    page = "results/comparisons/mine/comparison.html"
    done = snakemake(project, page, "--dry-run", "--configfile", "tiny.yaml", "compared.yaml")
    assert done.returncode == 0, done.stderr[-2000:]
    counts = dict(re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, re.MULTILINE))
    expected = {"measure": "2", "real_subset_run": "3", "real_run": "3", "evaluate": "6", "classifier": "1"}
    assert {rule: counts.get(rule) for rule in expected} == expected
    assert counts["comparison"] == "1" and "baseline" not in counts


def test_a_comparison_with_more_real_images_than_there_are_starts_no_job(project: Path) -> None:
    (project / "many.yaml").write_text("comparisons: {mine: [digits, real_125_per_class]}\n" + TWO)
    done = snakemake(project, "demo", "--configfile", "many.yaml")
    assert done.returncode == 1 and not (project / "data").exists()
    said = "config.yaml: comparisons.mine.real_N_per_class 125: a class has 124 train images; lower it"
    assert said in done.stdout + done.stderr


def test_fewer_gpus_than_devices_are_refused_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = copy_project(tmp_path / "project")
    target, four = "results/digits/loss.csv", ("--config", "experiments={digits: {train: {devices: 4}}}")
    message = "4 processes on this machine need a GPU each, but CUDA_VISIBLE_DEVICES lists 1"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    for dry in (["-n"], []):
        run = snakemake(project, *dry, target, *four)
        assert run.returncode and message in run.stdout + run.stderr, run.stdout + run.stderr
        assert "set experiments.digits.train.devices to 1" in run.stdout + run.stderr
        assert not (project / "data").exists()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # computes on the CPU
    assert not snakemake(project, "-n", target, *four).returncode
    assert not snakemake(project, target).returncode
    (project / target).unlink()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")  # what was trained elsewhere is used here
    run = snakemake(project, "-n", target, *four)
    assert not run.returncode, run.stdout + run.stderr
