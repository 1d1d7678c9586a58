"""Small results of experiments as the workflow leaves them, and the command line that reads them."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from diffdistill.data import image_files

REPOSITORY = Path(__file__).parents[2]
KINDS = {
    "accuracy": "accuracy.csv",
    "baselines": "baselines.csv",
    "fid": "fid.csv",
    "budget": "samples.json",
    "loss": "loss.csv",
    "samples": "samples.safetensors",
    "real": "real.safetensors",
}
TABLES = ("models", "generators", "leaderboard", "accuracy")
FIGURES = ("fid_curve", "loss_curve", "accuracy", "leaderboard")
AUDIT: dict[str, Any] = {
    "flagged": False, "reasons": [], "noticed": [], "images": {"generated": 4000}, "equal_to_a_train_image": 3,
    "nearest": {"pixels": {"share_in_train": {"value": 0.515, "low": 0.49, "high": 0.54}}},
    "three_times_nearer_to_one": {
        kind: {"value": 0.001, "low": 0.0, "high": 0.002} for kind in ("generated", "held_out")
    },
    "membership": {
        "all_times": {"auc": 0.52, "auc_low": 0.48, "auc_high": 0.56, "tpr": 0.011, "tpr_low": 0.0, "tpr_high": 0.03}
    },
}  # fmt: skip
RUNS = "dataset,train_set,images,seed,accuracy,epochs,seconds\n"


@dataclass(frozen=True)
class Project:
    """A folder of results. `arguments(...)` are those of a stage."""

    folder: Path
    experiments: dict[str, Any]

    def arguments(self, stage: str) -> list[str]:
        inputs = [f"{kind}={self.folder / name / file}" for kind, file in KINDS.items() for name in self.experiments]
        pictures = tuple(f"{kind}_{name}" for kind in ("samples", "classes") for name in self.experiments)
        tables = [f"{name}_{end}" for name in TABLES for end in ("csv", "md", "tex")]
        figures = [f"{name}_{end}" for name in FIGURES + pictures for end in ("pdf", "png")]
        made = {"tables": tables, "figures": figures}
        if stage == "report":
            inputs += [f"audit={self.folder / name / 'audit.json'}" for name in self.experiments]
            inputs += [f"audit_{name}_png={self.folder / name / 'audit_pairs.png'}" for name in self.experiments]
            inputs += [f"{name}={self.file(name)}" for name in tables + figures if name.endswith(("_csv", "_png"))]
            outputs = [f"page={self.folder / 'report.html'}", f"summary={self.folder / 'summary.txt'}"]
        else:
            inputs.append(f"leaderboard={REPOSITORY / 'resources/leaderboard.csv'}")
            outputs = [f"{name}={self.file(name)}" for name in made[stage]]
        config = json.dumps({"experiments": self.experiments})
        return ["--config", config, "--threads", "1", "--in", *inputs, "--out", *outputs]

    def file(self, name: str) -> Path:
        """models_csv -> folder/models.csv"""
        return self.folder / ".".join(name.rsplit("_", 1))


def pictures(labels: torch.Tensor, size: int, channels: int, seed: int) -> torch.Tensor:
    """uint8 (N, C, H, W): a spot on a slope, whose place and colour tell the class."""
    draws = torch.Generator().manual_seed(seed)
    line = torch.linspace(-1, 1, size)
    hue = labels[:, None, None, None] * 0.7 + 2 * torch.arange(channels)[:, None, None]
    x, y = (wave(labels.float())[:, None, None, None] / 2 for wave in (torch.cos, torch.sin))
    spot = torch.exp(-6 * ((line - x) ** 2 + (line[:, None] - y) ** 2))
    noise = 0.1 * torch.rand(len(labels), channels, size, size, generator=draws)
    return ((0.2 * line[:, None] + 0.3 + spot * torch.sin(hue).abs() + noise).clamp(0, 1) * 255).to(torch.uint8)


def experiment(
    folder: Path, classes: list[str], size: int, channels: int, level: float, titles: list[str] | None, features: str
) -> dict[str, Any]:
    """Write one experiment's files; level: the mean accuracy of its distilled set, half the real one's."""
    folder.mkdir(parents=True)
    name = folder.name
    distilled = [level - 0.01, level, level + 0.01]
    lines = [f"{name},distilled,4000,{seed},{value},10,2" for seed, value in enumerate(distilled)]
    (folder / "accuracy.csv").write_text(RUNS + "\n".join(lines))
    shares = {"real": 2.0, "real-random": 1.8}
    lines = [f"{name},{kind},1000,{seed},{level * shares[kind]},10,2" for kind in shares for seed in range(3)]
    (folder / "baselines.csv").write_text(RUNS + "\n".join(lines))
    columns = "step,fid,images,features,solver,evaluations,seconds,parameters\n"
    measured = ((10, 8.5), (20, 3.125), (30, 3.125))
    rows = [f"{step},{fid},500,{features},dpmsolver++ multistep 2,50,1,44257536\n" for step, fid in measured]
    (folder / "fid.csv").write_text(columns + "".join(rows))
    (folder / "loss.csv").write_text(
        "iteration,loss,learning_rate,ema_decay,images_per_second\n10,0.5,1,0,16\n20,0.2,1,0,32\n30,0.1,1,0,32\n"
    )
    account = {
        "images": 4000, "images_discarded_late": 0, "images_per_second": 400.0, "budget_seconds": 10.5,
        "used_seconds": 10.0, "seed": 7, "step": 20,
        "seconds": {"load": 1.0, "draw": 8.5, "write": 0.5}, "evaluations_per_image": 20, "batch_size": 64,
        "solver": {"algorithm": "dpmsolver++", "order": 2, "steps": 20}, "machine": {"device": "cpu", "torch": "9.9.9"},
    }  # fmt: skip
    (folder / "samples.json").write_text(json.dumps(account))
    (folder / "audit.json").write_text(json.dumps(AUDIT))
    Image.new("L", (600, 300)).save(folder / "audit_pairs.png")
    for file, count in (("samples", 3), ("real", 2)):
        labels = torch.arange(len(classes)).repeat(count)
        metadata = {"classes": json.dumps(classes)}
        if titles and file == "real":
            metadata["class_titles"] = json.dumps(titles)
        image_files.save(folder / f"{file}.safetensors", pictures(labels, size, channels, count), labels, metadata)
    model = {"patch_size": 2, "embed_dim": 512, "depth": 12, "num_heads": 8, "mlp_ratio": 4.0}
    settings = {
        "train": {"batch_size": 16, "seed": 3}, "evaluate": {"seeds": [0, 1, 2], "protocol": {"width": 16}},
        "fid": {"classifier": None, "seed": 5}, "note": "<b>&",
    }  # fmt: skip
    return {"dataset": name, "model": model, "training_iterations": 30, "settings": settings}


def build(folder: Path, experiments: dict[str, dict[str, Any]]) -> Project:
    """The files of several experiments; what is not given of one has a default."""
    defaults: dict[str, Any] = {"classes": ["zero", "one", "a <class> & $more"], "size": 8, "channels": 1}
    defaults |= {"level": 0.45, "titles": None, "features": "inception"}
    made = {name: experiment(folder / name, **{**defaults, **change}) for name, change in experiments.items()}
    return Project(folder, made)


Make = Callable[..., Project]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """make(name={"classes": ..., "size": ..., ...}, ...) -> Project"""
    return lambda **experiments: build(tmp_path, experiments)
