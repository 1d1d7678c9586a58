"""Running a stage as a process of its own, hindered in some way; a warm parent spares it the seconds of its imports."""

import csv
import importlib
import json
import multiprocessing
import os
import resource
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from diffdistill.errors import UserError
from diffdistill.runtime import tensor_files
from tests import command

STAGES = (
    "prepare",
    "train",
    "weights",
    "classifier",
    "fid_reference",
    "fid",
    "checkpoint",
    "sample",
    "evaluate",
    "accuracy",
    "history",
)
WARM = [
    *(f"diffdistill.stages.{stage}" for stage in STAGES), "diffdistill.data.fetching", "diffdistill.__main__",
    "diffdistill.runtime.devices", "sklearn.datasets", "torch._dynamo", "requests", "pooch",
]  # fmt: skip
"""Modules that the parent has imported before it starts a process."""
NOBODY = 65534
"""A user without rights, where the tests run as root, who may do everything."""


@dataclass(frozen=True)
class Ended:
    code: int
    """Negative: the number of the signal that ended it."""
    said: str
    """Its standard output and error."""

    def refused(self, *parts: str) -> None:
        """It ended as the person at the keyboard wants it: one line of error with these parts, no traceback."""
        assert self.code == 2, self.said
        assert "Traceback" not in self.said and "Logging error" not in self.said, self.said
        errors = [line for line in self.said.splitlines() if "error: " in line]
        assert len(errors) == 1, self.said
        for part in parts:
            assert part in errors[0], errors[0]


@dataclass
class Hindrance:
    """What stands in the way of a process."""

    file_bytes: int | None = None
    """The largest file it may write."""
    more_memory: int | None = None
    """Bytes it may take beyond those it starts with."""
    unprivileged: bool = False
    before: Callable[[], None] | None = None
    """Called in the process, before the stage."""
    environment: dict[str, str] = field(default_factory=dict)


def _in_child(argv: list[str], folder: str, said: str, hindrance: Hindrance) -> None:
    os.setpgid(0, 0)
    descriptor = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.environ.update(hindrance.environment)
    os.chdir(folder)
    entry = importlib.import_module("diffdistill.__main__")
    if hindrance.before is not None:
        hindrance.before()
    if hindrance.file_bytes is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # as Python sets it at its start
        resource.setrlimit(resource.RLIMIT_FSIZE, (hindrance.file_bytes, hindrance.file_bytes))
    if hindrance.more_memory is not None:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + hindrance.more_memory
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    if hindrance.unprivileged and os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    code = entry.main(argv)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class Process:
    """A stage that runs."""

    def __init__(self, argv: list[str], folder: Path, hindrance: Hindrance | None = None) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(WARM)
        self._said = folder.with_name(f"{folder.name}.said")
        self._said.unlink(missing_ok=True)
        arguments = (argv, str(folder), str(self._said), hindrance or Hindrance())
        self._process = context.Process(target=_in_child, args=arguments)
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def wait(self, seconds: float = 120) -> Ended | None:
        """None if it still runs after so many seconds."""
        self._process.join(seconds)
        if self._process.exitcode is None:
            return None
        said = self._said.read_text(errors="replace") if self._said.exists() else ""
        return Ended(self._process.exitcode, said)

    def kill(self) -> bool:
        """Whether it hit: the process had not ended."""
        self._process.kill()
        self._process.join()
        return self._process.exitcode == -signal.SIGKILL


def run(argv: list[str], folder: Path, hindrance: Hindrance | None = None) -> Ended:
    """A stage run to its end in `folder`."""
    process = Process(argv, folder, hindrance)
    ended = process.wait()
    if ended is None:
        process.kill()
        raise AssertionError(f"{argv[0]} still runs")
    return ended


PROTOCOL = {"steps": 8, "width": 8, "batch_size": 32, "mean": [0.0], "std": [0.37]}
TRAIN = {
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


TIMES = {"seconds", "used_seconds", "images_per_second", "batch_size"}
"""What a clock says, or in a sample's account chooses: columns and keys that no two runs share."""


def results(folder: Path, *jobs: Job) -> dict[str, Any]:
    """The jobs' outputs that are there, by path, without what a clock says; of a broken file, what is wrong with it."""
    paths = [path for job in jobs for path in job.outputs.values()]
    return {path: timeless(folder / path) for path in paths if (folder / path).exists()}


def timeless(path: Path) -> Any:
    """What a file of the workflow holds, without what a clock says; of a broken one, what is wrong with it."""

    def kept(values: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in values.items() if key not in TIMES}

    try:
        if path.suffix == ".json":
            return kept(json.loads(path.read_text()))
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
    """Every file below a folder, hidden ones too, but not the counts of attempts, which a failure leaves."""
    found = (file for file in sorted(folder.rglob("*")) if file.is_file() and file.suffix != ".attempts")
    return {str(file.relative_to(folder)): file.read_bytes() for file in found}
