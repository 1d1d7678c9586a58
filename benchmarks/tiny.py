"""A tiny experiment on the digits, job by job, and how two runs of it are compared."""

import csv
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import command
from benchmarks.processes import Ended, Hindrance, run
from diffdistill.errors import UserError
from diffdistill.runtime import tensor_files

PROTOCOL = {"steps": 8, "width": 8, "batch_size": 32, "mean": [0.0], "std": [0.37]}
TRAIN: dict[str, Any] = {
    "iterations": 20, "slice_iterations": 10, "batch_size": 16, "learning_rate": 1e-3, "warmup_iterations": 5,
    "ema_decays": [0.9], "log_every": 5, "save_seconds": 0.05,
}  # fmt: skip
MODEL = {"patch_size": 4, "embed_dim": 32, "depth": 2, "num_heads": 2}
TRAIN_SET, TEST_SET, CLASSIFIER = "data/train.safetensors", "data/test.safetensors", "data/classifier.safetensors"
REFERENCE = "data/reference.safetensors"


@dataclass(frozen=True)
class Job:
    """A stage's command line in parts, so that a test changes one of them."""

    stage: str
    settings: dict[str, Any]
    inputs: list[tuple[str, str]]
    outputs: dict[str, str]

    def argv(self, **changed: Any) -> list[str]:
        """changed: values of the settings."""
        return command.arguments(self.stage, self.settings | changed, self.inputs, self.outputs)

    def within(self, block: str, **changed: Any) -> "Job":
        """With other values in one block of its settings."""
        return replace(self, settings=self.settings | {block: self.settings[block] | changed})

    def run(self, folder: Path, hindrance: Hindrance | None = None, **changed: Any) -> Ended:
        return run(self.argv(**changed), folder, hindrance)


def _slice(end: int) -> Job:
    before = [("before", f"train/{end - 10}.safetensors")] if end > 10 else []
    settings = {"model": MODEL, "train": TRAIN, "snapshot_every": 10, "until": end}
    return Job("train", settings, [("train", TRAIN_SET), *before], {"state": f"train/{end}.safetensors"})


def weights_job(step: int, state: str, weights: str) -> Job:
    settings = {"name": str(step), "step": step, "ema_decay": TRAIN["ema_decays"][0]}
    return Job("weights", settings, [("state", state)], {"weights": weights})


def _fid(step: int) -> Job:
    settings = {"measurement": {"solver": {"nfe": 3}, "images": 60, "batch_size": 30, "seed": 5}, "devices": 1}
    inputs = [("weights", f"weights/{step}.safetensors"), ("features", CLASSIFIER), ("reference", REFERENCE)]
    return Job("fid", settings, inputs, {"fid": f"fid/{step}.json"})


def _evaluate(seed: int) -> Job:
    settings = {"train_set": "distilled", "seed": seed, "protocol": PROTOCOL}
    inputs = [("train", "samples.safetensors"), ("test", TEST_SET)]
    return Job("evaluate", settings, inputs, {"accuracy": f"accuracy/{seed}.json"})


JOBS = {
    "prepare": Job(
        "prepare", {"source": {"kind": "digits", "validation_per_class": 10, "test_per_class": 40}}, [],
        {name: f"data/{name}.safetensors" for name in ("train", "validation", "test")},
    ),
    "classifier": Job(
        "classifier", {"protocol": PROTOCOL, "seed": 0}, [("train", TRAIN_SET)], {"classifier": CLASSIFIER}
    ),
    "reference": Job(
        "fid_reference", {"features": "classifier"}, [("train", TRAIN_SET), ("features", CLASSIFIER)],
        {"reference": REFERENCE},
    ),
    "train": _slice(10),
    "train on": _slice(20),
    "weights": weights_job(10, "train/10.safetensors", "weights/10.safetensors"),
    "weights on": weights_job(20, "train/20.safetensors", "weights/20.safetensors"),
    "fid": _fid(10),
    "fid on": _fid(20),
    "checkpoint": Job(
        "checkpoint", {"by": "fid"},
        [*(("fid", f"fid/{step}.json") for step in (20, 10)),
         *(("weights", f"weights/{step}.safetensors") for step in (20, 10))],
        {"table": "fid.csv", "checkpoint": "checkpoint.json", "weights": "checkpoint.safetensors"},
    ),
    "sample": Job(
        "sample", {"sample": {"images": 200, "solver": {"nfe": 3}, "batch_size": 64}},
        [("weights", "checkpoint.safetensors")],
        {"samples": "samples.safetensors", "account": "samples.json"},
    ),
    "evaluate": _evaluate(0),
    "evaluate on": _evaluate(1),
    "accuracy": Job(
        "accuracy", {"experiment": "digits"}, [("accuracy", f"accuracy/{seed}.json") for seed in (1, 0)],
        {"table": "accuracy.csv"},
    ),
}  # fmt: skip
"""A tiny experiment on the digits, job by job, in an order in which they can run."""


def make(folder: Path) -> Path:
    """Run the tiny experiment in a new folder."""
    folder.mkdir()
    for job in JOBS.values():
        ended = job.run(folder)
        assert ended.code == 0, ended.said
    return folder


TIMES = {"seconds", "used_seconds", "images_per_second", "batch_size", "start_share", "seconds_late", "attempts"}
"""What a clock says, or in a sample's account chooses: columns and keys that no two runs share."""


def results(folder: Path, *jobs: Job) -> dict[str, Any]:
    """The jobs' outputs that are there, by path, without measured times; of a broken file, what is wrong with it."""
    paths = [path for job in jobs for path in job.outputs.values()]
    return {path: timeless(folder / path) for path in paths if (folder / path).exists()}


def timeless(path: Path) -> Any:
    """What a file of the workflow holds, without measured times; of a broken one, what is wrong with it."""

    def kept(values: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in values.items() if key not in TIMES}

    try:
        if path.suffix == ".json":
            values = json.loads(path.read_text())
            return [kept(row) for row in values] if isinstance(values, list) else kept(values)
        if path.suffix == ".csv":
            return [kept(row) for row in csv.DictReader(path.read_text().splitlines())]
        tensors, metadata = tensor_files.load(path)
    except (UserError, ValueError) as error:
        return str(error)
    if "seconds" not in metadata:
        return path.read_bytes()
    if "history" in tensors:
        tensors["history"] = tensors["history"][:, :-1].contiguous()  # the last column is the speed
    return kept(metadata), {name: tensor.numpy().tobytes() for name, tensor in tensors.items()}


def left_over(folder: Path) -> list[str]:
    """Hidden files: temporary ones have such names."""
    return [path.name for path in folder.rglob(".*")]


def remove(folder: Path, *jobs: Job) -> None:
    for path in (path for job in jobs for path in job.outputs.values()):
        (folder / path).unlink(missing_ok=True)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too, but for the count of attempts, which a refused job leaves."""
    found = (file for file in sorted(folder.rglob("*")) if file.is_file() and file.suffix != ".attempts")
    return {str(file.relative_to(folder)): file.read_bytes() for file in found}
