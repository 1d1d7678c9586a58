"""Budgeted sampling: within the budget, repeatable by number, the same images at any batch size, flat in memory."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from diffdistill import config
from diffdistill.classify.convnet import ConvNet
from diffdistill.classify.training import Classifier
from diffdistill.config import stages
from diffdistill.config.sampling import SOLVERS
from diffdistill.data import image_files
from diffdistill.diffusion import checkpoints, running
from diffdistill.diffusion.labels import LabelSpace
from diffdistill.generators import modes
from tests import command
from tests.diffusion.models import MODELS, UVIT, busy, denoiser

METADATA = {"classes": json.dumps(["a", "b", "c"]), "source_checksum": "none", "config": "{}", "step": "5"}


@pytest.fixture(scope="module")
def network_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "5.safetensors"
    checkpoints.save_denoiser(path, denoiser(UVIT.changed(embed_dim=32), seed=3), METADATA)
    return path


def arguments(network_file: Path, folder: Path, settings: dict[str, Any], **inputs: Path) -> list[str]:
    block = config.Sample.model_validate({"solver": {"nfe": 4}, **settings})
    outputs = {"samples": folder / "samples.safetensors", "account": folder / "samples.json"}
    return command.arguments("sample", stages.Sample(sample=block), {"weights": network_file, **inputs}, outputs)


def sampled(network_file: Path, folder: Path, **settings: Any) -> tuple[image_files.ImageSet, dict[str, Any]]:
    folder.mkdir(exist_ok=True)
    assert command.main(arguments(network_file, folder, settings)) == 0
    return image_files.load(folder / "samples.safetensors"), json.loads((folder / "samples.json").read_text())


def test_a_budgeted_set_is_repeated_by_its_number(network_file: Path, tmp_path: Path) -> None:
    budgeted, account = sampled(network_file, tmp_path / "budget", budget_seconds=3, batch_size=64)
    assert account["images"] == len(budgeted.labels) > 200
    assert account["used_seconds"] <= 3
    counted, _ = sampled(network_file, tmp_path / "count", images=account["images"], batch_size=64)
    assert torch.equal(budgeted.labels, counted.labels)
    differing = (budgeted.images.int() - counted.images.int()).abs()
    assert differing.max() <= 1 and (differing > 0).float().mean() < 0.01


@pytest.mark.parametrize("algorithm", ["dpmsolver++", "ancestral"])
def test_no_image_depends_on_the_batch(network_file: Path, tmp_path: Path, algorithm: str) -> None:
    solver = {"nfe": 4, "algorithm": algorithm}
    small, _ = sampled(network_file, tmp_path / "7", images=100, batch_size=7, solver=solver)
    large, _ = sampled(network_file, tmp_path / "64", images=100, batch_size=64, solver=solver)
    longer, _ = sampled(network_file, tmp_path / "long", images=130, batch_size=64, solver=solver)
    assert torch.equal(small.labels, torch.arange(100) % 3)
    for other in (large, longer):
        differing = (small.images.int() - other.images[:100].int()).abs()
        assert differing.max() <= 1 and (differing > 0).float().mean() < 0.01
    assert len({image.numpy().tobytes() for image in longer.images}) == 130


def differing_levels(a: image_files.ImageSet, b: image_files.ImageSet) -> torch.Tensor:
    return (a.images.int() - b.images.int()).abs().float()


def test_the_account_says_how_the_network_ran(network_file: Path, tmp_path: Path) -> None:
    exact, account = sampled(network_file, tmp_path / "exact", images=20)
    assert account["plan"]["precision"] == "float32" and not account["plan"]["compiled"]
    assert "too short" in account["plan"]["reason"]
    half, account = sampled(network_file, tmp_path / "half", images=20, precision="bfloat16", compile=False)
    assert account["plan"]["precision"] == "bfloat16" and account["plan"]["reason"] == "as set"
    assert 0 < differing_levels(exact, half).mean() < 2


@pytest.mark.slow
def test_a_compiled_network_samples_the_same_images_in_one_batch_size(network_file: Path, tmp_path: Path) -> None:
    plain, _ = sampled(network_file, tmp_path / "plain", images=50)
    compiled, account = sampled(network_file, tmp_path / "compiled", images=50, compile=True, batch_size=16)
    assert account["plan"]["compiled"] and account["batch_size"] == 16
    assert len(compiled.labels) == 50 and torch.equal(plain.labels, compiled.labels)
    assert differing_levels(plain, compiled).max() <= 1


def test_another_seed_gives_other_images(network_file: Path, tmp_path: Path) -> None:
    one, _ = sampled(network_file, tmp_path / "0", images=20, seed=0)
    other, _ = sampled(network_file, tmp_path / "1", images=20, seed=1)
    assert not any(torch.equal(a, b) for a, b in zip(one.images, other.images, strict=True))


def test_a_budget_too_short_for_one_image_says_so(
    network_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(arguments(network_file, tmp_path, {"budget_seconds": 0.001})) == 2
    assert "sample.budget_seconds: a budget of 0.001 s does not suffice" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["samples.attempts"]
    _, account = sampled(network_file, tmp_path, images=3)
    assert account["attempts"] == 2 and len(list(tmp_path.iterdir())) == 2


def test_the_account_adds_up(network_file: Path, tmp_path: Path) -> None:
    _, account = sampled(network_file, tmp_path, budget_seconds=2, batch_size=16)
    assert sum(account["seconds"].values()) == pytest.approx(account["used_seconds"], abs=1e-6)
    assert account["attempts"] == 1 and account["generator"]["kind"] == "diffusion" and account["generator"]["nfe"] == 4
    assert 0 < account["start_share"] < 1 and account["generator"]["model"]["kind"] == "uvit"


@pytest.mark.parametrize("kind", MODELS)
def test_every_network_is_sampled_with_every_switch(tmp_path: Path, kind: str) -> None:
    space = LabelSpace(num_classes=3, subclasses=((2, 1), (1, 1), (3, 0)), null_label=True)
    made = busy(MODELS[kind].changed(prediction="v"), space, augment_dim=3)
    checkpoints.save_denoiser(tmp_path / "5.safetensors", made, METADATA)
    for algorithm in SOLVERS:
        if algorithm != "consistency":
            solver = {"algorithm": algorithm, "nfe": 3}
            samples, account = sampled(tmp_path / "5.safetensors", tmp_path / algorithm, images=10, solver=solver)
            assert len(samples.labels) == 10 and account["generator"]["nfe"] == 3
    guided, account = sampled(tmp_path / "5.safetensors", tmp_path / "g", images=10, guidance={"weight": 2.0})
    assert (
        account["generator"]["nfe"] == 8
        and account["generator"]["guidance"]["weight"] == 2
        and "guidance" in guided.metadata["made_by"]
    )


def test_only_tuned_weights_are_sampled_in_few_evaluations(
    network_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    solver = {"algorithm": "consistency", "nfe": 2}
    assert command.main(arguments(network_file, tmp_path, {"images": 50, "solver": solver})) == 2
    assert "5.safetensors: not tuned, but the solver 'consistency' needs tuned weights" in capsys.readouterr().err
    checkpoints.save_denoiser(tmp_path / "tuned.safetensors", busy(), METADATA | {"tuned": "{}"})
    large, account = sampled(tmp_path / "tuned.safetensors", tmp_path / "large", images=50, solver=solver)
    assert [account["generator"][key] for key in ("nfe", "step", "tuned")] == [2, 5, True]
    small, _ = sampled(tmp_path / "tuned.safetensors", tmp_path / "small", images=50, solver=solver, batch_size=7)
    # the noise before the second evaluation is an image's own, too
    assert (large.images.int() - small.images.int()).abs().max() <= 1
    assert len({image.numpy().tobytes() for image in large.images}) == 50


def test_autoguidance_pushes_away_from_earlier_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for step in (5, 9):
        checkpoints.save_denoiser(tmp_path / f"{step}.safetensors", busy(seed=step), METADATA | {"step": str(step)})
    late, early = tmp_path / "9.safetensors", tmp_path / "5.safetensors"
    plain, _ = sampled(late, tmp_path / "plain", images=20)

    def guided(interval: list[float], weight: float) -> tuple[torch.Tensor, dict[str, Any]]:
        settings = {"images": 20, "guidance": {"weight": weight, "from_step": 5, "interval": interval}}
        (tmp_path / "guided").mkdir(exist_ok=True)
        assert command.main(arguments(late, tmp_path / "guided", settings, guide=early)) == 0
        account = json.loads((tmp_path / "guided/samples.json").read_text())
        return image_files.load(tmp_path / "guided/samples.safetensors").images, account

    same, account = guided([0.0, 1.0], 1.0)
    assert (same.int() - plain.images.int()).abs().max() <= 1 and account["generator"]["nfe"] == 8
    pushed, account = guided([0.0, 0.5], 3.0)
    assert (pushed.int() - plain.images.int()).abs().max() > 1 and 4 < account["generator"]["nfe"] < 8
    settings: dict[str, Any] = {"images": 20, "guidance": {"weight": 2.0, "from_step": 5}}
    assert command.main(arguments(late, tmp_path, settings)) == 2
    assert "no weights of iteration 5" in capsys.readouterr().err


def test_the_setup_that_a_pilot_picked_is_used(network_file: Path, tmp_path: Path) -> None:
    picked = {"setup": {"solver": {"nfe": 2}, "guidance": None, "select": None}}
    (tmp_path / "checkpoint.json").write_text(json.dumps(picked))
    run = arguments(network_file, tmp_path, {"images": 3}, checkpoint=tmp_path / "checkpoint.json")
    assert command.main(run) == 0
    assert json.loads((tmp_path / "samples.json").read_text())["generator"]["nfe"] == 2


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_images(network_file: Path, tmp_path: Path) -> None:
    peaks = []
    for images in (1_000, 20_000):
        folder = tmp_path / str(images)
        folder.mkdir()
        settings = {"images": images, "solver": {"nfe": 1}}
        script = (
            "import resource, sys; from diffdistill.__main__ import main; code = main(sys.argv[1:]);"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss); sys.exit(code)"
        )
        command = [sys.executable, "-c", script, *arguments(network_file, folder, settings)]
        run = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(int(run.stdout.splitlines()[-1]))
    assert peaks[1] < 1.1 * peaks[0]


def test_mode_guidance_changes_the_images_and_repeats_them(
    network_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    C, H, W = checkpoints.load(network_file).denoiser.image_shape
    images = torch.randint(0, 256, (30, C, H, W), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    image_files.save(tmp_path / "train", images, torch.arange(30) % 3, METADATA)
    shape = {"num_classes": 3, "img_size": H, "width": 8, "depth": 2}
    classifier = Classifier(ConvNet(**shape), ([0.5], [0.5]))
    classifier.to_file(tmp_path / "classifier", ["a", "b", "c"], {"source_checksum": "none"})
    inputs = {name: tmp_path / name for name in ("train", "classifier")}

    def sampled_by(modes: dict[str, Any] | None) -> tuple[torch.Tensor, dict[str, Any]]:
        settings = {"images": 12, "batch_size": 6, "precision": "float32", "modes": modes}
        assert command.main(arguments(network_file, tmp_path, settings, **inputs)) == 0
        made = image_files.load(tmp_path / "samples.safetensors")
        return made.images, json.loads((tmp_path / "samples.json").read_text())

    plain, without = sampled_by(None)
    guided, account = sampled_by({"per_class": 4, "weight": 0.5, "interval": [0.0, 1.0]})
    again, _ = sampled_by({"per_class": 4, "weight": 0.5, "interval": [0.0, 1.0]})
    assert not torch.equal(plain, guided) and torch.equal(guided, again)
    by = account["generator"]
    of_network = {"model", "parameters", "bytes", "step", "tuned"}
    assert {key: by[key] for key in of_network} == {key: without["generator"][key] for key in of_network}
    assert by["modes"] == 4 and by["nfe"] == 4 and account["seconds"]["modes"] > 0
    settings = {"images": 12, "modes": {"per_class": 11}}
    assert command.main(arguments(network_file, tmp_path, settings, **inputs)) == 2
    assert "class 'a' has 10 images, but 11 modes are asked for" in capsys.readouterr().err


def test_mode_guidance_keeps_the_batch_size_of_the_plan(network_file: Path) -> None:
    checkpoint, device = checkpoints.load(network_file), torch.device("cpu")
    C, H, W = checkpoint.denoiser.image_shape
    train = image_files.ImageSet(torch.zeros(3, C, H, W).byte(), torch.arange(3), ["a", "b", "c"], {})
    classifier = Classifier(ConvNet(num_classes=3, img_size=H, width=8, depth=2), ([0.5], [0.5])).eval()
    settings = config.Sample(images=2, solver={"nfe": 1}, modes={"per_class": 1, "interval": (0.0, 1.0)})
    plan = running.Plan(checkpoint.denoiser, "float32", 8, "as set")
    made = modes.generator(checkpoint, settings, classifier, train, device, plan)
    assert made.fixed_batch_size == 8 and made.generate(0, torch.arange(2)).shape == (2, C, H, W)


def test_counts_of_the_real_train_split_and_of_named_classes(
    network_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shape = checkpoints.load(network_file).denoiser.image_shape
    image_files.save(tmp_path / "train", torch.zeros(8, *shape).byte(), torch.tensor([0] * 6 + [2] * 2), METADATA)
    inputs = {"train": tmp_path / "train"}
    for counts, expected in (("real", [9, 0, 3]), ({"b": 1, "c": 2}, [0, 4, 8])):
        assert command.main(arguments(network_file, tmp_path, {"images": 12, "counts": counts}, **inputs)) == 0
        labels = image_files.load(tmp_path / "samples.safetensors").labels
        assert labels.bincount(minlength=3).tolist() == expected
    assert command.main(arguments(network_file, tmp_path, {"images": 12, "counts": {"d": 1}})) == 2
    assert "sample.counts: no class 'd'; known: a, b, c" in capsys.readouterr().err
