"""A measurement as a job: any number of processes finds the same; and what it says of labels and classes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from diffdistill import config
from diffdistill.classify import training
from diffdistill.classify.convnet import ConvNet
from diffdistill.classify.training import Classifier
from diffdistill.config import stages
from diffdistill.data import image_files
from diffdistill.diffusion import checkpoints, sampling
from diffdistill.metrics import features, frechet, manifold
from diffdistill.runtime import files, tensor_files
from diffdistill.stages import fid
from tests import command
from tests.diffusion.models import busy

CLASSES = ["a", "b", "c"]
MEASUREMENT = config.Measurement(images=50, solver=config.Solver(nfe=2), batch_size=8, seed=5)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Splits, an untrained classifier and network, and the reference; of class c there are ten real images."""
    metadata = {"classes": json.dumps(CLASSES), "source_checksum": "none"}
    draws = torch.Generator().manual_seed(0)
    for name, count in (("train", 60), ("validation", 12)):
        images = torch.randint(256, (count, 1, 8, 8), generator=draws, dtype=torch.uint8)
        labels = torch.where(torch.arange(count) < 10, 2, torch.arange(count) % 2)
        image_files.save(tmp_path / f"{name}.safetensors", images, labels, metadata)
    shape = {"num_classes": 3, "img_size": 8, "width": 8, "depth": 2}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        Classifier(ConvNet(**shape), ([0.5], [0.25])).to_file(tmp_path / "classifier.safetensors", CLASSES)
    checkpoints.save_denoiser(tmp_path / "weights.safetensors", busy(), metadata | {"step": "7"})
    make_reference(tmp_path)
    return tmp_path


def make_reference(folder: Path, *, classifier: bool = True) -> None:
    names = ("train", "validation", "classifier") if classifier else ("train",)
    inputs = {name: folder / f"{name}.safetensors" for name in names}
    inputs["features"] = folder / "classifier.safetensors"
    output = {"reference": folder / "reference.safetensors"}
    assert command.run("fid_reference", stages.FidReference(features="classifier"), inputs, output) == 0


def arguments(folder: Path, devices: int = 1, *, classifier: bool = True, **changes: Any) -> list[str]:
    names = ("weights", "reference", *(["classifier"] if classifier else []))
    inputs = {name: folder / f"{name}.safetensors" for name in names} | {"features": folder / "classifier.safetensors"}
    settings = stages.Fid(measurement=MEASUREMENT.changed(**changes), devices=devices)
    return command.arguments("fid", settings, inputs, {"fid": folder / "fid.json"})


def measured(folder: Path, **changes: Any) -> dict[str, Any]:
    assert command.main(arguments(folder, **changes)) == 0
    return files.read_records(folder / "fid.json", "fid")[0]


def sampled(folder: Path) -> torch.Tensor:
    denoiser = checkpoints.load(folder / "weights.safetensors").denoiser
    classes = torch.arange(50) % 3
    return sampling.sample(denoiser, MEASUREMENT.solver, classes, seed=5, first=0, device=torch.device("cpu"))


def test_every_number_is_that_of_the_library(project: Path) -> None:
    row = measured(project)
    classifier = Classifier.from_file(project / "classifier.safetensors")
    images, train = sampled(project), image_files.load(project / "train.safetensors")
    ours, theirs = (features.classifier_features(classifier, some) for some in (images, train.images))
    distance = frechet.frechet_distance(*frechet.mean_and_covariance(ours), *frechet.mean_and_covariance(theirs))
    assert row["fid"] == pytest.approx(distance, rel=1e-5)
    agreed = training.accuracy(classifier, images, torch.arange(50) % 3)
    assert row["label_agreement"] == pytest.approx(agreed) and 0 < agreed < 1
    validation = image_files.load(project / "validation.safetensors")
    agreed = training.accuracy(classifier, validation.images, validation.labels)
    assert row["label_agreement_validation"] == pytest.approx(agreed)
    # ten of each class: all that class c has; of the others, ten each that the reference holds
    assert row["class_images"] == 10
    points = tensor_files.load(project / "reference.safetensors")[0]["points"]
    assert points.shape == (30, theirs.shape[1])
    of_class_c = torch.from_numpy(theirs[train.labels == 2]).float()
    assert torch.equal(points[2::3].sort(0).values, of_class_c.sort(0).values)
    assert row["class_fid"] == pytest.approx(frechet.class_distance(ours[:30], points.numpy(), 3), rel=1e-5)
    expected = manifold.precision_and_recall(torch.from_numpy(ours[:30]), points)
    assert (row["precision"], row["recall"]) == pytest.approx(expected)


def test_without_a_classifier_the_classes_are_not_measured(project: Path) -> None:
    whole = measured(project)
    make_reference(project, classifier=False)
    assert command.main(arguments(project, classifier=False)) == 0
    (row,) = files.read_records(project / "fid.json", "fid")
    assert row["fid"] == whole["fid"] and all(row[name] is None for name in fid.CLASS_MEASURES)


def test_too_few_images_a_class_leave_the_agreement(project: Path) -> None:
    row = measured(project, images=5)
    assert row["label_agreement"] in np.arange(6) / 5
    assert row["class_fid"] is row["precision"] is row["recall"] is row["class_images"] is None


def test_a_reference_by_another_classifier_is_refused(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = project / "reference.safetensors"
    tensors, metadata = tensor_files.load(path)
    tensor_files.save(path, tensors, metadata | {"classifier_sha256": "0" * 64})
    assert command.main(arguments(project)) == 2
    assert "classifier_sha256 is 000" in capsys.readouterr().err and not (project / "fid.json").exists()


def test_another_number_of_processes_than_configured(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(arguments(project, devices=4)) == 2
    said = capsys.readouterr().err
    assert "fid.devices is 4, but 1 process was started" in said and "train.devices" not in said


def launched(count: int, folder: Path, **changes: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **changes.pop("variables", {})}
    run = [
        sys.executable,
        "-m",
        "diffdistill.runtime.processes",
        str(count),
        "diffdistill",
        *arguments(folder, **changes),
    ]
    return subprocess.run(run, capture_output=True, text=True, timeout=300, env=environment)


@pytest.mark.slow
@pytest.mark.parametrize(("count", "images"), [(2, 50), (3, 50), (3, 9)])
def test_any_number_of_processes_measures_the_same(project: Path, count: int, images: int) -> None:
    alone = measured(project, images=images)
    (project / "fid.json").unlink()
    run = launched(count, project, devices=count, images=images)  # of 9 images in batches of 8, one samples none
    assert run.returncode == 0, run.stderr
    (several,) = files.read_records(project / "fid.json", "fid")
    assert {**several, "seconds": 0} == {**alone, "seconds": 0}
    assert run.stderr.count("weights: FID") == 1


@pytest.mark.slow
def test_what_stops_one_of_several_processes_is_said_once(project: Path) -> None:
    run = launched(2, project, devices=2, variables={"SLURM_GPUS_ON_NODE": "1"})
    assert run.returncode == 2 and not (project / "fid.json").exists()
    assert "2 processes on this machine need a GPU each, but SLURM granted 1" in run.stderr
    assert run.stderr.count("error: ") == 1 and "set fid.devices to 1" in run.stderr
