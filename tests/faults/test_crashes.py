"""What the machine refuses: one line names the file and the remedy, old files are intact, the same command goes on."""

import errno
import json
import mmap
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks.processes import NOBODY, Hindrance, run
from benchmarks.tiny import JOBS, TEST_SET, TRAIN, TRAIN_SET, contents, remove
from PIL import Image

from diffdistill.data import image_files
from tests.faults import fault
from tests.faults.conftest import Disk

WRITERS = [
    "prepare",
    "classifier",
    "reference",
    "train",
    "weights",
    "fid",
    "checkpoint",
    "sample",
    "evaluate",
    "accuracy",
]
MEGABYTE = 1 << 20


def outputs(folder: Path, name: str) -> dict[str, bytes]:
    return {path: (folder / path).read_bytes() for path in JOBS[name].outputs.values()}


def fill(place: Path) -> Path:
    """A file that takes all that is left of a disk."""
    filler = place / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (65536, 4096):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as error:
                assert error.errno == errno.ENOSPC
    return filler


@pytest.fixture
def full_disk(made: Path, disk: Disk) -> Iterator[Path]:
    """The tiny experiment on a disk that has no room left but what `filler` takes."""
    disk.mount("size=6m")
    shutil.copytree(made, disk.place, dirs_exist_ok=True)
    fill(disk.place)
    yield disk.place


@fault("F23", "the disk is full", "one line names the file, the old one stays; with room the same command succeeds")
@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk(full_disk: Path, name: str) -> None:
    before = outputs(full_disk, name)
    ended = JOBS[name].run(full_disk)
    ended.refused("no space left on device", "free some space")
    assert any(str(Path(path).with_suffix("")) in ended.said for path in before), ended.said
    assert outputs(full_disk, name) == before and not list(full_disk.rglob(".*.part-*"))
    (full_disk / "filler").unlink()
    ended = JOBS[name].run(full_disk)
    assert ended.code == 0, ended.said
    if all(path.endswith(".safetensors") for path in before) and name != "train":
        assert outputs(full_disk, name) == before


@fault("F25", "the log's disk is full", "it is said once, and the work goes on without the log")
def test_a_log_that_cannot_be_written(project: Path, disk: Disk) -> None:
    disk.mount("size=64k")
    log = disk.place / "accuracy.log"
    log.touch()
    fill(disk.place)
    ended = run([*JOBS["accuracy"].argv(), "--log", str(log)], project)
    assert ended.code == 0 and ended.said.count("the log cannot be written") == 1, ended.said
    assert "Traceback" not in ended.said and "Logging error" not in ended.said
    assert not log.read_text()


@fault("F23", "a limit on the size of files", "one line names the file and the limit, nothing half is left")
@pytest.mark.parametrize("name", ["prepare", "train", "sample", "checkpoint"])
def test_the_limit_of_a_files_size(project: Path, name: str) -> None:
    before = contents(project)
    JOBS[name].run(project, Hindrance(file_bytes=8000)).refused("file too large", "ulimit -f", "safetensors")
    assert contents(project) == before
    assert JOBS[name].run(project).code == 0


@fault("F23", "no room for temporary files", "one line says where they lie, and nothing half is left")
def test_no_room_for_the_pictures_of_a_folder(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for index in range(20):
            Image.new("L", (8, 8), index).save(tmp_path / "set" / name / f"{index}.png")
    settings = {"kind": "folder", "path": "set", "validation_per_class": 2, "test_per_class": 2}
    job = replace(JOBS["prepare"], settings={"source": settings}, inputs=[("source", "set")])
    before = contents(tmp_path)
    hindered = Hindrance(file_bytes=2000)  # they take 40 x 64
    job.run(tmp_path, hindered).refused(f"a temporary file in {tempfile.gettempdir()}", "file too large")
    assert contents(tmp_path) == before
    assert job.run(tmp_path).code == 0


@fault("F30", "the results lie on a file system mounted read-only", "one line says so, and nothing is changed")
@pytest.mark.parametrize("name", ["prepare", "train", "fid", "evaluate"])
def test_a_read_only_file_system(made: Path, disk: Disk, name: str) -> None:
    disk.mount("size=8m")
    shutil.copytree(made, disk.place, dirs_exist_ok=True)
    disk.remount("ro")
    before = contents(disk.place)
    JOBS[name].run(disk.place).refused("read-only file system", "make the file system writable or write elsewhere")
    assert contents(disk.place) == before
    disk.remount("rw")
    assert JOBS[name].run(disk.place).code == 0


@pytest.fixture
def of_nobody(made: Path, open_folder: Path) -> Path:
    """The tiny experiment, belonging to a user without rights."""
    shutil.copytree(made, open_folder, dirs_exist_ok=True)
    if os.geteuid() == 0:
        for path in open_folder.rglob("*"):
            os.chown(path, NOBODY, NOBODY)
    return open_folder


@fault("F30", "no permission to write the results", "one line names the file; with it the same command succeeds")
@pytest.mark.parametrize("name", ["prepare", "train", "sample"])
def test_a_folder_that_may_not_be_written(of_nobody: Path, name: str) -> None:
    place = (of_nobody / next(iter(JOBS[name].outputs.values()))).parent
    before = contents(of_nobody)
    place.chmod(0o555)
    JOBS[name].run(of_nobody, Hindrance(unprivileged=True)).refused("permission denied", "give this user access")
    assert contents(of_nobody) == before
    place.chmod(0o755)
    ended = JOBS[name].run(of_nobody, Hindrance(unprivileged=True))
    assert ended.code == 0, ended.said


@fault("F30", "no permission to read an input", "one line names the file")
@pytest.mark.parametrize(
    ("name", "path"), [("train", TRAIN_SET), ("evaluate", TEST_SET), ("checkpoint", "fid/20.json")]
)
def test_an_input_that_may_not_be_read(of_nobody: Path, name: str, path: str) -> None:
    (of_nobody / path).chmod(0)
    JOBS[name].run(of_nobody, Hindrance(unprivileged=True)).refused(path, "permission denied", "give this user access")


@fault("F33", "a class folder that may not be read is passed over", "the folder is named, nothing is written")
def test_a_class_folder_that_may_not_be_read(of_nobody: Path) -> None:
    for name in ("a", "b", "c"):
        for index in range(3):
            path = of_nobody / "pictures" / name / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (8, 8), index).save(path)
    (of_nobody / "pictures/b").chmod(0)
    before = contents(of_nobody / "data")
    settings = {"kind": "folder", "path": "pictures", "validation_per_class": 1, "test_per_class": 1}
    job = replace(JOBS["prepare"], settings={"source": settings}, inputs=[("source", "pictures")])
    job.run(of_nobody, Hindrance(unprivileged=True)).refused("pictures/b", "permission denied")
    assert contents(of_nobody / "data") == before
    (of_nobody / "pictures/b").chmod(0o755)
    assert job.run(of_nobody, Hindrance(unprivileged=True)).code == 0


@fault("F28", "the job is out of memory while it reads", "one line says so; with more memory the same command succeeds")
def test_too_little_memory_to_read(project: Path) -> None:
    whole = (project / TRAIN_SET).read_bytes()
    length = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + length])
    pixels, count = 64, 8 * MEGABYTE  # a file with a hole: 576 MB of nothing
    header["images"] = {"dtype": "U8", "shape": [count, 1, 8, 8], "data_offsets": [0, count * pixels]}
    header["labels"] = {"dtype": "I64", "shape": [count], "data_offsets": [count * pixels, count * (pixels + 8)]}
    text = json.dumps(header).encode()
    text = text.ljust((len(text) + 7) // 8 * 8)
    with (project / TRAIN_SET).open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + count * (pixels + 8))
    before = (project / "data/classifier.safetensors").read_bytes()
    JOBS["classifier"].run(project, Hindrance(more_memory=100 * MEGABYTE)).refused("out of memory", "give the job more")
    assert (project / "data/classifier.safetensors").read_bytes() == before
    (project / TRAIN_SET).write_bytes(whole)
    assert JOBS["classifier"].run(project, Hindrance(more_memory=500 * MEGABYTE)).code == 0


@fault("F28", "the job is out of memory while it computes", "one line names batch_size; the old result is intact")
def test_too_little_memory_to_compute(project: Path) -> None:
    before = contents(project)
    many = JOBS["sample"].within("sample", images=20_000, batch_size=20_000)
    hindered = Hindrance(more_memory=60 * MEGABYTE)
    many.run(project, hindered).refused("out of memory", "batch_size")
    assert contents(project) == before
    ended = many.within("sample", images=200, batch_size=50).run(project, hindered)
    assert ended.code == 0, ended.said


@fault(
    "F28",
    "a training is out of memory",
    "one line names train.micro_batch_size; with it the job succeeds",
)
def test_too_little_memory_to_train(project: Path) -> None:
    remove(project, JOBS["train"])
    hindered, settings = Hindrance(more_memory=160 * MEGABYTE), {**TRAIN, "batch_size": 12_000}
    JOBS["train"].run(project, hindered, train=settings).refused("out of memory", "lower train.micro_batch_size")
    ended = JOBS["train"].run(project, hindered, train={**settings, "micro_batch_size": 200})
    assert ended.code == 0, ended.said


@fault("F27", "a device is named by letters, or there is none", "devices are counted, not parsed: the CPU computes")
@pytest.mark.parametrize("visible", ["MIG-1234abcd", ""])
def test_odd_names_of_devices(visible: str) -> None:
    script = "from diffdistill.runtime import devices; print(devices.best_device())"
    run = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": visible},
    )
    assert run.returncode == 0 and run.stdout.strip() == "cpu", run.stderr


@fault("F29", "a job takes all cores of the machine", "it computes with the threads it was given, and records them")
def test_a_job_keeps_to_its_threads(made: Path) -> None:
    assert json.loads((made / "samples.json").read_text())["machine"]["threads"] == "1"


def refuse_mappings() -> None:
    def refuse(*arguments: object, **named: object) -> None:
        raise OSError(errno.ENODEV, "No such device")

    mmap.mmap = refuse  # type: ignore[assignment, misc]


@fault("F30", "files cannot be mapped on some network file systems", "they are read, not mapped")
def test_no_file_is_mapped(made: Path, project: Path) -> None:
    path = (project / "samples.safetensors").resolve()
    loaded = image_files.load(path)
    assert len(loaded.labels) and str(path) not in Path("/proc/self/maps").read_text()
    ended = JOBS["evaluate"].run(project, Hindrance(before=refuse_mappings))
    assert ended.code == 0, ended.said


@fault("F35", "a dependency warns of what it will remove", "the library works with such warnings as errors")
def test_nothing_deprecated_is_used() -> None:
    script = (
        "import torch, diffdistill.diffusion.networks.uvit as u, diffdistill.metrics.frechet as f;"
        "import diffdistill.classify.convnet;"
        "net = u.UViT(8, 4, 1, 16, 2, 2, num_classes=2); import numpy as np;"
        "net(torch.zeros(2, 1, 8, 8), torch.ones(2) / 2, torch.tensor([0, 1])).sum().backward();"
        "m, c = f.mean_and_covariance(np.eye(5)); assert f.frechet_distance(m, c, m, c) < 1e-6"
    )
    command = [
        sys.executable,
        "-W",
        "error::FutureWarning",
        "-W",
        "error::DeprecationWarning:diffdistill",
        "-c",
        script,
    ]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
