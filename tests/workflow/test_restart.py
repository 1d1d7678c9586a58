"""A training job that is killed at random moments goes on by the same command and ends bit-identical."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from benchmarks.processes import Process

from diffdistill import config
from diffdistill.config import stages
from diffdistill.data import image_files
from diffdistill.runtime import tensor_files
from tests.command import arguments

pytestmark = pytest.mark.slow

KILLS = 10


def command(folder: Path, **changes: object) -> list[str]:
    train = config.Train(
        iterations=200, slice_iterations=200, batch_size=16, learning_rate=1e-3, warmup_iterations=5,
        ema_decays=(0.99,), save_seconds=0.05, log_every=10, seed=int(str(changes.get("seed", 0))),
    )  # fmt: skip
    model = config.UViTModel(patch_size=4, embed_dim=64, depth=2, num_heads=2)
    settings = stages.Train(model=model, train=train, snapshot_every=50, until=200)
    data, out = folder / "train.safetensors", folder / "train/200.safetensors"
    return [sys.executable, "-m", "diffdistill", *arguments("train", settings, {"train": data}, {"state": out})]


def project(folder: Path) -> Path:
    folder.mkdir()
    images = torch.randint(0, 256, (50, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    metadata = {"classes": json.dumps(["a", "b"]), "source_checksum": "none"}
    image_files.save(folder / "train.safetensors", images, torch.arange(50) % 2, metadata)
    return folder


def result(folder: Path) -> dict[str, torch.Tensor]:
    return tensor_files.load(folder / "train/200.safetensors", lambda name: name != "history")[0]


def test_ten_kills_change_nothing(tmp_path: Path) -> None:
    undisturbed, disturbed = project(tmp_path / "undisturbed"), project(tmp_path / "disturbed")

    def start(folder: Path) -> Process:
        """Of a process that has imported everything: a kill then falls into its work."""
        job = command(folder)
        return Process(job[job.index("diffdistill") + 1 :], folder)

    for _ in range(2):  # the first one takes longer
        (undisturbed / "train/200.safetensors").unlink(missing_ok=True)
        started = time.monotonic()
        ended = start(undisturbed).wait()
        assert ended is not None and ended.code == 0, ended
    length = time.monotonic() - started
    moments, killed = random.Random(0), 0
    for _ in range(100):
        process = start(disturbed)
        ended = process.wait(moments.uniform(0, 0.6) * length if killed < KILLS else 120)
        if ended is None:
            killed += process.kill()
            continue
        assert ended.code == 0, ended.said
        if killed >= KILLS:
            break
        (disturbed / "train/200.safetensors").unlink()  # it ended before the tenth kill: once more
    assert killed == KILLS
    one, other = result(undisturbed), result(disturbed)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert [path.name for path in (disturbed / "train").iterdir() if not path.name.startswith(".")] == [
        "200.safetensors"
    ]


def test_a_stop_signal_saves_and_leaves(tmp_path: Path) -> None:
    folder = project(tmp_path / "stopped")
    settings = [part.replace('"save_seconds": 0.05', '"save_seconds": 600.0') for part in command(folder)]
    settings = [part.replace('"until": 200', '"until": 100000') for part in settings]
    process = subprocess.Popen(settings, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if "iteration 100 " in line:
            break
    os.kill(process.pid, signal.SIGTERM)
    sent = time.monotonic()
    rest = process.stderr.read()
    assert process.wait(30) == 128 + signal.SIGTERM
    assert time.monotonic() - sent < 5
    assert "saved iteration" in rest
    assert (folder / "train/200.progress.safetensors").exists()


def test_progress_of_other_settings_is_not_mixed_in(tmp_path: Path) -> None:
    folder = project(tmp_path / "mixed")
    process = subprocess.Popen(command(folder), stderr=subprocess.DEVNULL)
    while not (folder / "train/200.progress.safetensors").exists():
        time.sleep(0.02)
    process.kill()
    process.wait()
    run = subprocess.run(command(folder, seed=1), capture_output=True, text=True)
    assert run.returncode == 0 and "other settings (train.seed 0 against 1)" in run.stderr
    clean = project(tmp_path / "clean")
    subprocess.run(command(clean, seed=1), check=True, capture_output=True)
    one, other = result(folder), result(clean)
    assert all(torch.equal(one[name], other[name]) for name in one)
