"""Training as a job: any number of processes takes the same steps, and what stops it leaves what it resumes from."""

import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from diffdistill import config
from diffdistill.__main__ import main
from diffdistill.config import stages
from diffdistill.data import image_files
from diffdistill.diffusion import training
from diffdistill.diffusion.networks import Sizes, build
from diffdistill.diffusion.networks.uvit import UViT
from diffdistill.runtime import files, tensor_files
from diffdistill.runtime.resuming import Progress
from diffdistill.stages import train
from tests import command
from tests.diffusion.models import MODELS, UVIT

Tensors = dict[str, Tensor]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """103 images of three classes."""
    images = torch.randint(0, 256, (103, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    metadata = {"classes": json.dumps(["a", "b", "c"]), "source_checksum": "none"}
    image_files.save(tmp_path / "train.safetensors", images, torch.arange(103) % 3, metadata)
    return tmp_path / "train.safetensors"


def arguments(
    data: Path,
    output: Path,
    until: int = 5,
    before: Path | None = None,
    *,
    every: int | None = None,
    model: config.UViTModel | config.UNetModel = UVIT,
    **changes: Any,
) -> list[str]:
    """every: iterations between snapshots; None: `until`."""
    settings = {"iterations": 1000, "slice_iterations": 1000, "batch_size": 8, "learning_rate": 1e-3, "log_every": 1}
    exact = {"warmup_iterations": 2, "ema_decays": [0.9], "precision": "float32"}
    block = config.Train.model_validate(settings | exact | changes)
    inputs = {"train": data}
    if before is not None:
        inputs["before"] = before
    elif block.start is not None:
        inputs["start"] = Path(block.start.file("digits"))
    asked = stages.Train(model=model, train=block, snapshot_every=every or until, until=until)
    return command.arguments("train", asked, inputs, {"state": output})


def launched(count: int, stage_arguments: list[str], **variables: str) -> subprocess.CompletedProcess[str]:
    """Run in `count` processes."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
    command = in_processes(count, stage_arguments)
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)


def in_processes(count: int, stage_arguments: list[str]) -> list[str]:
    return [sys.executable, "-m", "diffdistill.runtime.processes", str(count), "diffdistill", *stage_arguments]


def trained(path: Path) -> Tensors:
    """Weights, EMA and moments."""
    wanted = ("network.", "ema.", "first_moment.", "second_moment.")
    return tensor_files.load(path, lambda name: name.startswith(wanted))[0]


def near(one: Tensors, other: Tensors) -> bool:
    return one.keys() == other.keys() and all(torch.allclose(one[name], other[name], atol=1e-5) for name in one)


def equal(one: Tensors, other: Tensors) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture
def alone(data: Path) -> Path:
    """Five iterations in one process."""
    assert main(arguments(data, data.parent / "alone/5.safetensors")) == 0
    return data.parent / "alone/5.safetensors"


@pytest.mark.parametrize("micro", [2, 3, 100])
def test_accumulation_changes_no_step(data: Path, alone: Path, micro: int) -> None:
    output = data.parent / "micro/5.safetensors"
    assert main(arguments(data, output, micro_batch_size=micro)) == 0
    assert near(trained(output), trained(alone))


@pytest.mark.slow
def test_processes_share_a_batch_of_the_other_network_too(data: Path) -> None:
    alone, several = data.parent / "alone/5.safetensors", data.parent / "several/5.safetensors"
    switches: dict[str, Any] = {"label_dropout": 0.3, "augment": "flip_rotate", "ema_decays": [0.9, 0.5]}
    assert main(arguments(data, alone, model=MODELS["unet"], **switches)) == 0
    run = launched(2, arguments(data, several, model=MODELS["unet"], devices=2, **switches))
    assert run.returncode == 0, run.stderr
    assert near(trained(several), trained(alone)) and "UNet with" in run.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("count", "micro"), [(2, None), (2, 3), (3, None), (4, None)])
def test_any_number_of_processes_takes_the_same_steps(data: Path, alone: Path, count: int, micro: int | None) -> None:
    output = data.parent / "several/5.safetensors"
    run = launched(count, arguments(data, output, devices=count, micro_batch_size=micro))
    assert run.returncode == 0, run.stderr
    assert near(trained(output), trained(alone))
    (ours, metadata), (theirs, _) = tensor_files.load(output), tensor_files.load(alone)
    # iteration, loss, learning rate and decay; the speed is another
    assert torch.allclose(ours["history"][:, :4], theirs["history"][:, :4], atol=1e-5)
    network = {name.removeprefix("network.") for name in ours if name.startswith("network.")}
    assert network == set(UViT(8, 4, 1, 16, 2, 2, num_classes=3).state_dict())
    assert json.loads(metadata["machine"])["devices"] == str(count)
    assert run.stderr.count("UViT with") == 1 and f"batch 8 = {count} devices x" in run.stderr
    assert [path.name for path in output.parent.iterdir()] == ["5.safetensors"]


@pytest.mark.slow
def test_two_nodes_take_the_steps_of_one(data: Path) -> None:
    together, apart = data.parent / "one/5.safetensors", data.parent / "two/5.safetensors"
    run = launched(2, arguments(data, together, devices=2))
    assert run.returncode == 0, run.stderr
    command = in_processes(1, arguments(data, apart, devices=2, devices_per_node=1))
    with socket.create_server(("", 0)) as free:
        port = free.getsockname()[1]
    meeting = {"PET_NNODES": "2", "PET_MASTER_ADDR": "localhost", "PET_MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    other, first = (
        subprocess.Popen(
            command, env={**os.environ, **meeting, "PET_NODE_RANK": rank}, stderr=subprocess.PIPE, text=True
        )
        for rank in "10"
    )
    assert "UViT with" in first.communicate(timeout=120)[1] and first.returncode == 0
    assert "UViT with" not in other.communicate(timeout=120)[1] and other.returncode == 0
    assert equal(trained(apart), trained(together))


@pytest.mark.slow
def test_a_slice_goes_on_from_another_number_of_processes(data: Path, alone: Path) -> None:
    third, fifth = data.parent / "two/3.safetensors", data.parent / "two/5.safetensors"
    assert launched(2, arguments(data, third, until=3, devices=2)).returncode == 0
    assert main(arguments(data, fifth, before=third, every=3)) == 0
    assert near(trained(fifth), trained(alone))


@pytest.mark.slow
@pytest.mark.parametrize("to", ["launcher", "last"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_to_any_process_saves_and_stops_all(data: Path, number: signal.Signals, to: str) -> None:
    output = data.parent / "stopped/20000.safetensors"
    settings = arguments(data, output, until=20000, iterations=20000, slice_iterations=20000, devices=2)
    process = subprocess.Popen(in_processes(2, settings), stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if "iteration 10 " in line:
            break
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(process.pid if to == "launcher" else max(map(int, children)), number)
    rest = process.stderr.read()
    assert process.wait(60) == 128 + number, rest
    assert f"signal {number.value}: saved iteration" in rest and "Traceback" not in rest
    progress = output.with_name("20000.progress.safetensors")
    iteration = int(tensor_files.load(progress)[1]["iteration"])
    again = arguments(data, output, until=iteration + 2, every=20000, iterations=20000, slice_iterations=20000)
    assert main(again) == 0  # alone: the state belongs to any number of processes
    assert tensor_files.load(output)[1]["iteration"] == str(iteration + 2)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_all_processes(data: Path) -> None:
    output = data.parent / "burst/200.safetensors"
    settings = arguments(data, output, until=200, learning_rate=1e6, save_seconds=1e-6, devices=2)
    run = launched(2, settings)
    assert run.returncode == 2, run.stderr
    errors = [line for line in run.stderr.splitlines() if "error: " in line]
    assert len(errors) == 1 and "on rank" in errors[0] and "Traceback" not in run.stderr
    assert not output.exists()
    tensors, metadata = tensor_files.load(output.with_name("200.progress.safetensors"))
    assert all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values())
    assert f"of iteration {metadata['iteration']} is" in errors[0]


@pytest.mark.slow
def test_fewer_gpus_granted_than_configured(data: Path) -> None:
    output = data.parent / "few/5.safetensors"
    run = launched(2, arguments(data, output, devices=2), CUDA_VISIBLE_DEVICES="GPU-7")
    errors = [line for line in run.stderr.splitlines() if "error: " in line]
    assert run.returncode == 2 and len(errors) == 1 and "2 processes" in errors[0] and "lists 1" in errors[0]
    assert not output.parent.exists()


def test_compiling_that_fails_is_said_once_and_changes_nothing(
    data: Path, alone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Uncompiled(torch.nn.Module):
        """Fails at its first call, as torch.compile does, after some of the work."""

        def __init__(self, network: torch.nn.Module) -> None:
            super().__init__()
            self.network = network

        def forward(self, *inputs: Tensor) -> Tensor:
            self.network(*inputs).sum().backward()
            raise RuntimeError("no compiler\nfound")

    monkeypatch.setattr(torch, "compile", Uncompiled)
    output = data.parent / "uncompiled/5.safetensors"
    assert main(arguments(data, output, compile=True)) == 0
    assert capsys.readouterr().err.count("torch.compile failed") == 1
    assert equal(trained(output), trained(alone))


def test_half_precision_is_near_and_recorded(data: Path, alone: Path) -> None:
    output = data.parent / "half/5.safetensors"
    assert main(arguments(data, output, precision="bfloat16")) == 0
    half, full = trained(output), trained(alone)
    assert all(value.dtype == torch.float32 for value in half.values())
    assert not equal(half, full)
    assert all(torch.allclose(half[name], full[name], atol=5e-3) for name in full if name.startswith("network."))
    assert json.loads(tensor_files.load(output)[1]["machine"])["precision"] == "bfloat16"


def test_how_it_was_run_is_no_other_training(data: Path) -> None:
    third, fifth = data.parent / "a/3.safetensors", data.parent / "a/6.safetensors"
    assert main(arguments(data, third, until=3)) == 0
    settings = arguments(
        data, fifth, until=6, before=third, every=3, micro_batch_size=2, precision="bfloat16", log_every=2,
        save_seconds=5,
    )  # fmt: skip
    assert main(settings) == 0


def test_the_hours_are_estimated_once(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(data, data.parent / "long/210.safetensors", until=210, log_every=50)) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "about" in line]
    assert len(lines) == 1 and "for 1000 iterations on 1 device; this slice" in lines[0]


@pytest.mark.parametrize(("hours", "said"), [(27.14, "27.1 h"), (1.0, "1.0 h"), (0.5, "30.0 min")])
def test_durations(hours: float, said: str) -> None:
    assert train._duration(hours) == said


def stopped_at(iteration: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the next run get a SIGTERM after so many iterations; it stops after one more."""
    show = train._Reporting.__call__

    def then_stop(self: train._Reporting, state: training.State) -> None:
        show(self, state)
        if state.iteration == iteration:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(train._Reporting, "__call__", then_stop)


def test_curves_do_not_double_after_a_stop(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    output = data.parent / "curves/8.safetensors"
    settings = arguments(data, output, until=8, tensorboard=True, save_seconds=1e-6)
    kept = data.parent / "kept"
    with monkeypatch.context() as patch:
        stopped_at(3, patch)
        with pytest.raises(SystemExit):
            main(settings)
        progress = output.with_name("8.progress.safetensors")
        kept.write_bytes(progress.read_bytes())
        stopped_at(6, patch)
        with pytest.raises(SystemExit):
            main(settings)
        progress.write_bytes(kept.read_bytes())  # as if the last save had been lost
    time.sleep(1)  # the names of event files count seconds
    assert main(settings) == 0
    events = accumulator.EventAccumulator(str(output.parent / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("loss")] == [1, 2, 3, 4, 5, 6, 7, 8]
    history = tensor_files.load(output)[0]["history"]
    assert [event.value for event in events.Scalars("loss")] == pytest.approx(history[:, 1].tolist())


def test_curves_without_their_package(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert main(arguments(data, data.parent / "none/5.safetensors", tensorboard=True)) == 2
    assert "pip install tensorboard" in capsys.readouterr().err


def weights(path: Path, seed: int) -> Path:
    """Start weights of a network without classes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.save(build(UVIT, Sizes(image_shape=(1, 8, 8), labels=None)).state_dict(), path)
    return path


def test_start_weights_belong_to_the_run(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    start = weights(data.parent / "start.pth", 1)
    third, sixth = data.parent / "started/3.safetensors", data.parent / "started/6.safetensors"
    first = arguments(data, third, until=3, start={"path": str(start)}, learning_rate=1e-9)
    assert main(first) == 0
    assert "2 newly made: pos_embed[:, 0], label_emb.weight (3, 16)" in capsys.readouterr().err
    given = torch.load(start, weights_only=True)
    assert torch.allclose(trained(third)["network.norm.weight"], given["norm.weight"], atol=1e-6)
    assert torch.allclose(trained(third)["ema.pos_embed"][:, 1:], given["pos_embed"], atol=1e-6)
    second = arguments(data, sixth, until=6, start={"path": str(start)}, learning_rate=1e-9, before=third, every=3)
    assert main(second) == 0

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        third.unlink()
        stopped_at(1, patch)
        main(first)
    before = files.sha256(start)
    weights(start, 2)
    assert main(first) == 0
    said = capsys.readouterr().err
    assert f"other settings (start sha256:{before} against sha256:{files.sha256(start)})" in said
    sixth.unlink()
    without = arguments(data, sixth, until=6, learning_rate=1e-9, before=third, every=3)
    assert main(without) == 2
    assert f"other settings (start sha256:{files.sha256(start)} against None)" in capsys.readouterr().err


def test_start_weights_of_another_checksum(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start = weights(data.parent / "start.pth", 1)
    block = {"path": str(start), "checksum": "sha256:" + "0" * 64}
    assert main(arguments(data, data.parent / "wrong/3.safetensors", until=3, start=block)) == 2
    said = capsys.readouterr().err
    assert "start.pth: expected sha256:000" in said and "train.start.checksum" in said


def test_where_start_weights_lie() -> None:
    assert config.Start(path="a/b.pth").file("x") == "a/b.pth"
    assert config.Start(urls=("https://a.org/b/c.pth?dl=1",)).file("x") == "data/raw/weights/c.pth"
    assert config.Start(urls=("https://drive.google.com/uc?id=1",)).file("x") == "data/raw/weights/x.pth"
    with pytest.raises(ValueError, match="either path or urls"):
        config.Start()


def test_more_devices_than_images_in_a_batch() -> None:
    with pytest.raises(ValueError, match="devices 9 cannot share a batch of 8"):
        config.Train(iterations=1, slice_iterations=1, batch_size=8, devices=9)


def test_the_loss_is_that_of_the_batch(data: Path, alone: Path) -> None:
    history = tensor_files.load(alone)[0]["history"]
    assert history[:, 0].tolist() == [1, 2, 3, 4, 5] and all(math.isfinite(loss) for loss in history[:, 1])


@pytest.mark.parametrize("kind", MODELS)
def test_every_network_trains_in_slices(data: Path, kind: str) -> None:
    whole, first, second = (data.parent / kind / f"{name}/4.safetensors" for name in ("whole", "first", "second"))
    switches: dict[str, Any] = {"model": MODELS[kind], "label_dropout": 0.3, "augment": "flip_rotate"}
    assert main(arguments(data, whole, until=4, every=2, **switches)) == 0
    assert main(arguments(data, first, until=2, every=2, **switches)) == 0
    assert main(arguments(data, second, until=4, every=2, before=first, **switches)) == 0
    assert equal(trained(whole), trained(second))


def test_a_model_that_does_not_fit_the_images(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = UVIT.changed(patch_size=3)
    assert main(arguments(data, data.parent / "wrong/5.safetensors", model=wrong)) == 2
    assert "error: model: img_size 8 is not a multiple of patch_size 3" in capsys.readouterr().err


def test_a_loss_that_is_not_finite_names_what_to_change(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(data, data.parent / "burst/200.safetensors", until=200, learning_rate=1e6)) == 2
    assert "lower train.learning_rate (1000000.0) or raise train.warmup_iterations" in capsys.readouterr().err


def test_a_second_job_on_the_same_slice_is_refused(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = data.parent / "locked/5.safetensors"
    with Progress(output, 60).lock():
        assert main(arguments(data, output)) == 2
    assert f"{output}: another process is making this file" in capsys.readouterr().err
