"""Sub-classes, autoguidance and tuning as rules: what the settings ask for is made, and nothing else is."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from diffdistill.runtime import files, tensor_files
from tests.workflow.conftest import TINY, snakemake

SAMPLES = "results/digits/samples.safetensors"
DIVIDED = {"subclasses": 2, "label_dropout": 0.1, "loss_weight": "min_snr", "augment": "crop_rotate"}
TUNE = {"iterations": 10, "batch_size": 8}
CONSISTENCY = {"budget_seconds": None, "images": 40, "solver": {"algorithm": "consistency", "nfe": 2}}
UNET = {
    "kind": "unet", "channels": 8, "multipliers": [1, 2], "patch_size": None, "embed_dim": None, "depth": None,
    "num_heads": None,
}  # fmt: skip
GUIDED = {"budget_seconds": None, "images": 40, "guidance": {"weight": 1.5, "from_step": 20}}


def change(project: Path, **blocks: dict[str, Any]) -> None:
    """The tiny experiment with these settings."""
    values = yaml.safe_load(TINY)
    for name, block in blocks.items():
        values["experiments"]["digits"][name] = {**values["experiments"]["digits"].get(name, {}), **block}
    (project / "tiny.yaml").write_text(yaml.safe_dump(values))


def rules(output: str) -> set[str]:
    """Of a table of jobs."""
    return {words[0] for line in output.splitlines() if len(words := line.split()) == 2 and words[1].isdigit()}


@pytest.mark.parametrize(
    ("blocks", "planned", "absent"),
    [
        ({}, {"sample"}, {"tune", "subclasses"}),
        ({"tune": TUNE, "sample": CONSISTENCY}, {"tune", "sample"}, {"subclasses"}),
        ({"train": DIVIDED}, {"subclasses", "classifier"}, {"tune"}),
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
    assert "guide=results/digits/weights/20.safetensors" in run.stdout


def test_a_selection_is_evaluated_beside_what_it_was_selected_from(project: Path) -> None:
    change(project, select={"method": "herding", "per_class": 3}, study={"images_per_class": [2]})
    run = snakemake(project, "--dry-run", "results/digits/study.csv")
    assert run.returncode == 0, run.stdout + run.stderr
    for path in ("baseline/random-samples.0", "baseline/all-samples.0", "study/size-2-random-samples/0"):
        assert f"output: results/digits/{path}.json" in run.stdout


@pytest.mark.slow
def test_what_the_pilot_chose_makes_the_set(project: Path) -> None:
    setups = [{"solver": {"nfe": 2}, "select": {"method": "classifier", "label_noise": "relabel"}},
              {"solver": {"nfe": 2}, "guidance": {"weight": 1.5, "from_step": 20}}]  # fmt: skip
    pilot = {"by": "pilot", "candidates": [20, 40], "setups": setups, "images": 40, "seeds": [0, 1]}
    sample = {"budget_seconds": None, "images": 40, "solver": {"nfe": 4}}
    change(project, train={"ema_decays": [0.999, 0.5]}, fid={"every": 20}, checkpoint=pilot, sample=sample)
    run = snakemake(project, "results/digits/distilled.safetensors")
    assert run.returncode == 0, run.stdout + run.stderr
    made = project / "results/digits"
    checkpoint, account = files.read_json(made / "checkpoint.json"), files.read_json(made / "samples.json")
    generator = account["generator"]
    assert generator["solver"]["nfe"] == 2 and generator["guidance"] == checkpoint["setup"]["guidance"]
    selected = tensor_files.load(made / "distilled.safetensors")[1]["selected_by"]
    assert json.loads(selected)["method"] == (checkpoint["setup"]["select"] or {"method": "all"})["method"]
    pilots = [files.read_json(path) for path in (made / "pilot").iterdir()]
    found = sorted((row["name"], row["nfe"], row["images"]) for row in pilots)
    plain, guided = (2, 80), (4, 40)
    assert found == [("20", *plain), ("20-ema1", *plain), ("40", *plain), ("40", *guided),
                     ("40-ema1", *plain), ("40-ema1", *guided)]  # fmt: skip
    assert sorted(path.stem for path in (made / "fid").glob("*-ema1.json")) == ["20-ema1", "40-ema1"]


@pytest.mark.slow
def test_a_divided_and_tuned_run_of_a_unet(project: Path) -> None:
    change(project, model=UNET, train=DIVIDED, sample=CONSISTENCY, tune=TUNE)
    run = snakemake(project, SAMPLES)
    assert run.returncode == 0, run.stdout + run.stderr
    assert '"nfe": 2' in (project / "results/digits/samples.json").read_text()
