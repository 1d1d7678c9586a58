"""Small results of experiments as the workflow leaves them, and the stages that read them."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from PIL import Image

from diffdistill.config import Protocol, as_json
from diffdistill.config.protocols import values_of
from diffdistill.config.stages import ExperimentFiles, Report, ReportedExperiment
from diffdistill.data import image_files
from diffdistill.report import parts, results
from tests import command

REPOSITORY = Path(__file__).parents[2]
FILES = {
    "accuracy": "accuracy.csv",
    "baselines": "baselines.csv",
    "fid": "fid.csv",
    "loss": "loss.csv",
    "account": "samples.json",
    "refined": "refined.json",
    "refined_pictures": "refined.png",
    "samples": "samples.safetensors",
    "distilled": "distilled.safetensors",
    "real": "real.safetensors",
    "audit": "audit.json",
    "audit_pairs": "audit_pairs.png",
    "study": "study.csv",
}
UNUSUAL = ("study", "refined", "refined_pictures")
"""Files that an experiment has only if it is asked for them."""
FINISHED = ("accuracy", "baselines", "account", "samples", "distilled", "real", "audit", "audit_pairs")
"""What an experiment with a finished set has."""
FROM_REAL = ("accuracy", "baselines", "refined", "refined_pictures", "distilled", "real", "audit", "audit_pairs")
"""What an experiment has whose set is refined from real images."""
AUDIT: dict[str, Any] = {
    "verdict": "pass", "images": {"generated": 4000}, "equal_to_a_train_image": 3,
    "cannot_show": "It cannot show that none were copied.", "not_audited": ["mirrored copies"],
    "measures": [
        {
            "name": name, "what": f"what {name} is", "value": 0.515, "low": 0.49, "high": 0.54, "threshold": 0.6667,
            "source": "reason: chance", "verdict": "pass", "reason": "0.515 does not exceed", "held_out_needed": None,
        }
        for name in ("nearest_neighbour", "membership_loss")
    ],
}  # fmt: skip
ACCOUNT: dict[str, Any] = {
    "images": 4000, "images_discarded_late": 0, "images_per_second": 400.0, "budget_seconds": 10.5,
    "used_seconds": 10.0, "seconds": {"load": 1.0, "sample": 8.5, "write": 0.5}, "batch_size": 64,
    "start_share": 0.125, "machine": {"device": "cpu", "torch": "9.9.9"}, "kind": "diffusion", "nfe": 20, "seed": 7,
    "step": 20, "bytes": 177_000_000, "solver": {"algorithm": "dpmsolver++", "order": 2, "nfe": 20}, "guidance": None,
}  # fmt: skip
"""Of a diffusion model that was trained here."""
FOREIGN: dict[str, Any] = {
    "images": 9, "seconds": 1.5, "found": "9 images of 3 classes in a folder per class",
    "generator": {"kind": "samples", "form": "folder", "bytes": 5000},
}  # fmt: skip
"""Of a finished set."""
REFINED: dict[str, Any] = {
    "start": "real", "derived_from": "real images of the train split, changed", "method": "distribution_matching",
    "seconds": 90.0, "iterations": 300, "ended_by": "budget", "best_iteration": 200,
    "validation": [
        {"iteration": iteration, "accuracy": accuracy, "seconds": iteration * 0.3}
        for iteration, accuracy in ((0, 0.5), (200, 0.75), (300, 0.7))
    ],
}  # fmt: skip
"""The account of refining."""
RUNS = "experiment,train_set,images,seed,accuracy,epochs,seconds\n"
UVIT = {"kind": "uvit", "patch_size": 2, "embed_dim": 512, "depth": 12, "num_heads": 8, "mlp_ratio": 4.0}


@dataclass(frozen=True)
class Project:
    """A folder of results with the settings of its report."""

    folder: Path
    report: Report

    def run(self, *stages: str) -> int:
        """The exit code of the last of these stages; the ones before must succeed."""
        code = 0
        for stage in stages:
            assert code == 0
            outputs = {"folder": self.folder / stage}
            inputs: dict[str, Path] = {}
            if stage == "report":
                inputs = {name: self.folder / name for name in ("tables", "figures")}
                outputs = {"page": self.page, "summary": self.folder / "summary.txt"}
            code = command.run(stage, self.report, inputs, outputs)
        return code

    def show(self) -> str:
        """The page with white pictures in place of figures, which take long to draw."""
        experiments, folder = self.experiments, self.folder / "figures"
        folder.mkdir(exist_ok=True)
        for part in parts.FIGURES:
            of_each = [f"{part.name}_{experiment.name}" for experiment in parts.covered(part, experiments)]
            for name in of_each if part.of_each else [part.name]:
                Image.new("L", (600, 300), 255).save(folder / f"{name}.png")
        assert self.run("tables", "report") == 0
        return self.page.read_text()

    @property
    def page(self) -> Path:
        return self.folder / "report.html"

    @property
    def experiments(self) -> dict[str, results.Experiment]:
        return results.read_all(self.report.experiments)

    def file(self, experiment: str, kind: str) -> Path:
        return self.folder / experiment / FILES[kind]


def pictures(labels: torch.Tensor, size: int, channels: int, seed: int) -> torch.Tensor:
    """uint8 (N, C, H, W): a spot on a slope; its place and colour depend on the class."""
    draws = torch.Generator().manual_seed(seed)
    line = torch.linspace(-1, 1, size)
    hue = labels[:, None, None, None] * 0.7 + 2 * torch.arange(channels)[:, None, None]
    x, y = (wave(labels.float())[:, None, None, None] / 2 for wave in (torch.cos, torch.sin))
    spot = torch.exp(-6 * ((line - x) ** 2 + (line[:, None] - y) ** 2))
    noise = 0.1 * torch.rand(len(labels), channels, size, size, generator=draws)
    return ((0.2 * line[:, None] + 0.3 + spot * torch.sin(hue).abs() + noise).clamp(0, 1) * 255).to(torch.uint8)


def write_tables(folder: Path, level: float, features: str, classes: int) -> None:
    """Consistent with write_sets: three distilled and two real images per class."""
    name, images = folder.name, 3 * classes
    distilled = [level - 0.01, level, level + 0.01]
    lines = [f"{name},distilled,{images},{seed},{value},10,2" for seed, value in enumerate(distilled)]
    (folder / "accuracy.csv").write_text(RUNS + "\n".join(lines))
    shares = {"real": 2.0, "real-random": 1.8}
    lines = [f"{name},{kind},{2 * classes},{seed},{level * shares[kind]},10,2" for kind in shares for seed in range(3)]
    (folder / "baselines.csv").write_text(RUNS + "\n".join(lines))
    head = "step,fid,images,features,solver,nfe,seconds,seed,parameters,features_sha256\n"
    measured = ((10, 8.5), (20, 3.125), (30, 3.125))
    rows = [f"{step},{fid},500,{features},dpmsolver++ multistep 2,50,1,5,44257536,{name}\n" for step, fid in measured]
    (folder / "fid.csv").write_text(head + "".join(rows))
    (folder / "loss.csv").write_text(
        "iteration,loss,learning_rate,ema_decay,images_per_second\n10,0.5,1,0,16\n20,0.2,1,0,32\n30,0.1,1,0,32\n"
    )


def write_sets(folder: Path, classes: list[str], size: int, channels: int, titles: list[str] | None) -> None:
    for kind, count in (("samples", 3), ("distilled", 3), ("real", 2)):
        labels = torch.arange(len(classes)).repeat(count)
        metadata = {"classes": json.dumps(classes)}
        if titles:
            metadata["class_titles"] = json.dumps(titles)
        if kind == "distilled":
            metadata["selected_by"] = json.dumps({"method": "all", "seed": 2})
        image_files.save(folder / FILES[kind], pictures(labels, size, channels, count), labels, metadata)


def experiment(
    folder: Path, *, classes: list[str], size: int, channels: int, level: float, titles: list[str] | None,
    features: str, dataset: str | None, kinds: tuple[str, ...] | None, study: str | None,
) -> ReportedExperiment:  # fmt: skip
    """Write one experiment's files; level: the mean accuracy of its distilled set, half the real one's.

    kinds: the files that it has, all but unusual ones by default; study: the text of study.csv.
    """
    folder.mkdir(parents=True)
    finished = kinds is not None and "fid" not in kinds
    write_tables(folder, level, features, len(classes))
    write_sets(folder, classes, size, channels, titles)
    (folder / "samples.json").write_text(json.dumps(FOREIGN if finished else ACCOUNT))
    measures = AUDIT["measures"][:1] if finished else AUDIT["measures"]
    (folder / "audit.json").write_text(json.dumps(AUDIT | {"measures": measures}))
    Image.new("L", (600, 300)).save(folder / "audit_pairs.png")
    if study is not None:
        (folder / "study.csv").write_text(study)
    settings: dict[str, Any] = {
        "train": None if finished else {"batch_size": 16, "seed": 3},
        "model": None if finished else UVIT,
        "evaluate": {"seeds": [0, 1, 2], "protocol": {"width": 16}},
        "select": {"method": "all", "seed": 2},
        "note": "<b>&",
    }
    if kinds is not None and "refined" in kinds:
        (folder / "refined.json").write_text(json.dumps(REFINED))
        Image.new("L", (600, 300)).save(folder / "refined.png")
    present = [*(kinds or [kind for kind in FILES if kind not in UNUSUAL]), *(["study"] if study is not None else [])]
    paths = {kind: str(folder / FILES[kind]) for kind in present}
    return ReportedExperiment(dataset=dataset or folder.name, settings=settings, files=ExperimentFiles(**paths))


def build(folder: Path, experiments: dict[str, dict[str, Any]]) -> Project:
    """The files of several experiments; what is not given of one has a default."""
    defaults: dict[str, Any] = {"classes": ["zero", "one", "a <class> & $more"], "size": 8, "channels": 1}
    defaults |= {"level": 0.45, "titles": None, "features": "inception", "dataset": None, "kinds": None, "study": None}
    made = {name: experiment(folder / name, **{**defaults, **change}) for name, change in experiments.items()}
    leaderboard = str(REPOSITORY / "resources/leaderboard.csv")
    return Project(folder, Report(name="mine", experiments=made, leaderboard=leaderboard))


def judged(project: Project, track: int, **accuracies: float) -> list[results.Experiment]:
    """The experiments, evaluated by the protocol of a track, with ten images of each of the three classes."""
    for name, accuracy in accuracies.items():
        dataset = project.report.experiments[name].dataset
        protocol = Protocol.model_validate(values_of(f"track{track}", dataset))
        row = {"experiment": name, "train_set": "distilled", "images": 30, "seed": 0, "accuracy": accuracy}
        row |= {"epochs": protocol.epochs, "seconds": 9, "protocol": as_json(protocol)}
        pd.DataFrame([row]).to_csv(project.file(name, "accuracy"), index=False)
    return list(project.experiments.values())


Make = Callable[..., Project]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """make(name={"classes": ..., "size": ..., ...}, ...) -> Project"""
    return lambda **experiments: build(tmp_path, experiments)
