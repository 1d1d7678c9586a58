"""Sub-classes, autoguidance and tuning as rules: what the settings ask for is made, and nothing else is."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from diffdistill.runtime import files
from tests.workflow.conftest import TINY, snakemake

SAMPLES = "results/digits/samples.safetensors"
DIVIDED = {"subclasses": 2, "label_dropout": 0.1, "loss_weight": "min_snr", "augment": "crop_rotate"}
TUNE = {"iterations": 10, "batch_size": 8}
LEAPS = {"budget_seconds": None, "images": 40, "solver": {"algorithm": "consistency", "steps": 2}}
GUIDED = {"budget_seconds": None, "images": 40, "guidance": {"weight": 1.5, "from_step": 10}}


def change(project: Path, **blocks: dict[str, Any]) -> None:
    """The tiny experiment with these settings."""
    values = yaml.safe_load(TINY)
    for name, block in blocks.items():
        values["datasets"]["digits"][name] = {**values["datasets"]["digits"].get(name, {}), **block}
    (project / "tiny.yaml").write_text(yaml.safe_dump(values))


def rules(output: str) -> set[str]:
    """Of a table of jobs."""
    return {words[0] for line in output.splitlines() if len(words := line.split()) == 2 and words[1].isdigit()}


@pytest.mark.parametrize(
    ("blocks", "planned", "absent"),
    [
        ({}, {"sample"}, {"tune", "subclasses"}),
        ({"tune": TUNE, "sample": LEAPS}, {"tune", "sample"}, {"subclasses"}),
        ({"train": DIVIDED}, {"subclasses", "fid_features"}, {"tune"}),
    ],
)
def test_rules_are_planned_where_they_are_asked_for(
    project: Path, blocks: dict[str, Any], planned: set[str], absent: set[str]
) -> None:
    change(project, **blocks)
    run = snakemake(project, "--dry-run", SAMPLES)
    assert run.returncode == 0, run.stdout + run.stderr
    assert planned <= rules(run.stdout) and not absent & rules(run.stdout)


def test_autoguidance_reads_the_weights_of_its_iteration(project: Path) -> None:
    change(project, sample=GUIDED)
    run = snakemake(project, "--dry-run", "--printshellcmds", SAMPLES)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "guide=results/digits/weights/10.safetensors" in run.stdout


@pytest.mark.slow
def test_the_solver_that_the_pilot_chose_draws(project: Path) -> None:
    solvers = [{"steps": 2}, {"algorithm": "unipc", "steps": 4}]
    pilot = {"by": "pilot", "candidates": [20, 40], "solvers": solvers, "images": 40, "seeds": [0, 1]}
    change(project, choose=pilot, sample={"budget_seconds": None, "images": 40, "solver": {"steps": 7}})
    run = snakemake(project, SAMPLES)
    assert run.returncode == 0, run.stdout + run.stderr
    chosen = files.read_json(project / "results/digits/chosen.json")["solver"]
    assert chosen["steps"] in (2, 4) and files.read_json(project / "results/digits/samples.json")["solver"] == chosen
    pilots = [files.read_json(path) for path in (project / "results/digits/pilot").iterdir()]
    assert sorted((row["evaluations"], row["images"]) for row in pilots) == [(2, 80), (2, 80), (4, 40), (4, 40)]


@pytest.mark.slow
def test_a_divided_and_tuned_run(project: Path) -> None:
    change(project, train=DIVIDED, sample=LEAPS, tune=TUNE)
    run = snakemake(project, SAMPLES)
    assert run.returncode == 0, run.stdout + run.stderr
    assert '"evaluations_per_image": 2' in (project / "results/digits/samples.json").read_text()
