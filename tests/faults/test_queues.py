"""Queues, file systems and deployment methods that refuse, kill or bring nothing."""

import errno
import json
import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from benchmarks.processes import Hindrance
from benchmarks.tiny import JOBS, Job, contents, remove

from diffdistill import config
from diffdistill.errors import UserError
from diffdistill.planning import checkout, minutes
from diffdistill.planning.plan import Plan
from diffdistill.runtime import files
from tests.deployment import pretend
from tests.faults import fault
from tests.faults.conftest import Disk
from tests.faults.environments import CONFIG, REPOSITORY, copied_project, snakemake

SHIPPED = yaml.safe_load((REPOSITORY / "config.yaml").read_text())


def plan_of(**changed: Any) -> Plan:
    """A plan of the shipped CIFAR-100 experiment with other blocks; without those that are None."""
    shipped = SHIPPED["experiments"]["cifar100"]
    block = {name: one for name, one in shipped.items() if changed.get(name, one) is not None}
    merged = {name: {**block.get(name, {}), **change} for name, change in changed.items() if change is not None}
    values = {"reports": {"one": ["one"]}, "targets": ["one"], "experiments": {"one": {**block, **merged}}}
    return Plan(config.parse(values))


ONE = SimpleNamespace(experiment="one", ema="1000", run="epochs-5000-real")
PIPELINE: dict[str, Any] = {
    **dict.fromkeys(("model", "train", "fid", "tune", "checkpoint")),
    "sample": {"budget_seconds": None, "images": 1_000_000},
}
ASKED: dict[str, tuple[str, dict[str, Any], int]] = {
    "a budget of ten minutes": ("sample", {}, 60),
    "a budget of ten hours": ("sample", {"sample": {"budget_seconds": 36_000}}, 650),
    "ten million images": ("sample", {"sample": {"budget_seconds": None, "images": 10_000_000}}, 20_000),
    "as many with twice the evaluations, if the pilot picks them": (
        "sample",
        {
            "sample": {"budget_seconds": None, "images": 10_000_000},
            "checkpoint": {"by": "pilot", "setups": [{}, {"solver": {"nfe": 100}}]},
        },
        40_000,
    ),
    "as many from tuned weights, in two evaluations each": (
        "sample",
        {
            "sample": {
                "budget_seconds": None, "images": 10_000_000, "solver": {"algorithm": "consistency", "nfe": 2}
            },
            "tune": {"iterations": 10, "batch_size": 8, "learning_rate": 1e-3},
        },
        800,
    ),
    "another set as large": ("resample", {"sample": {"budget_seconds": 36_000}}, 1250),
    "a selection of them": ("selection", {"sample": {"budget_seconds": 36_000}}, 650),
    "a million images of a pipeline, guided by itself": (
        "generate", {**PIPELINE, "generator": {"kind": "pipeline", "path": "pipeline"}}, 4050,
    ),
    "the same not guided, in twice as many steps": (
        "generate", {**PIPELINE, "generator": {"kind": "pipeline", "path": "pipeline", "guidance": 1, "steps": 100}},
        4050,
    ),
    "the shipped measurement": ("fid", {}, 120),
    "a large measurement": ("fid", {"fid": {"images": 2_000_000, "devices": 1}}, 4050),
    "the shipped protocol": ("evaluate", {}, 240),
    "a long protocol": ("evaluate", {"evaluate": {"protocol": {"epochs": 5000}}}, 4216),
    "the same for real images": ("baseline", {"evaluate": {"protocol": {"epochs": 5000}}}, 4216),
    "a study's length": ("study_run", {"study": {"epochs": [5000]}}, 4216),
    "a thorough audit": ("audit", {"audit": {"members": 500_000, "noises": 10}}, 1650),
    "refining for a day": (
        "refine", {"refine": {"start": "noise", "budget_seconds": 86_400}}, 1490,
    ),
}  # fmt: skip


@fault("G13", "a job is killed at a limit that its work cannot keep", "the minutes follow from what it is asked to do")
@pytest.mark.parametrize("name", ASKED)
def test_minutes_follow_from_the_work(name: str) -> None:
    rule, changed, least = ASKED[name]
    assert least <= minutes.minutes(plan_of(**changed), rule, ONE) <= 1.1 * least


@fault(
    "G13", "every attempt is killed at the same limit", "each asks for more, unless it goes on or its budget ends it"
)
@pytest.mark.parametrize(
    ("rule", "grows"), [("fid", True), ("evaluate", True), ("prepare", True), ("sample", False), ("train", False)]
)
def test_another_attempt_asks_for_more(rule: str, grows: bool) -> None:
    plan = plan_of()
    first, third = (minutes.minutes(plan, rule, ONE, attempt) for attempt in (1, 3))
    assert third == (3 * first if grows else first)


@fault("G13", "a profile gives the sampling job fewer minutes than the budget", "the dry run refuses both numbers")
def test_a_runtime_that_the_budget_does_not_fit(tmp_path: Path) -> None:
    project = copied_project(tmp_path / "project")
    overlay = "experiments={digits: {sample: {images: null, budget_seconds: 36000}}}"
    given = ("--set-resources", "sample:runtime=60")
    ended = snakemake(project, {}, "--dry-run", "all", "--config", overlay, *given)
    assert ended.code == 1 and "Traceback" not in ended.said
    assert "experiments.digits.sample.budget_seconds 36000 lasts 600 minutes" in ended.said, ended.said
    assert "set-resources gives sample a runtime of 60" in ended.said
    ended = snakemake(project, {}, "--dry-run", "all", "--config", overlay)
    assert ended.code == 0 and "runtime=650" in ended.said, ended.said


def refuse_fsync(folders: bool, number: int) -> None:
    """From here on fsync fails, for folders or for files."""
    real = os.fsync

    def refusing(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").resolve().is_dir() == folders:
            raise OSError(number, os.strerror(number))
        real(descriptor)

    os.fsync = refusing


class Refusing:
    """Picklable: called in the stage's process."""

    def __init__(self, folders: bool, number: int) -> None:
        self.folders, self.number = folders, number

    def __call__(self) -> None:
        refuse_fsync(self.folders, self.number)


@fault("G15", "a file system that cannot flush a folder", "the file is whole and in its place: that is forgiven")
@pytest.mark.parametrize("number", [errno.EINVAL, errno.EBADF, errno.EACCES, errno.EIO], ids=errno.errorcode.get)
@pytest.mark.parametrize("name", ["prepare", "weights", "accuracy"])
def test_a_folder_that_cannot_be_flushed(project: Path, name: str, number: int) -> None:
    before = contents(project)
    remove(project, JOBS[name])
    ended = JOBS[name].run(project, Hindrance(before=Refusing(folders=True, number=number)))
    assert ended.code == 0 and "error" not in ended.said, ended.said
    assert contents(project).keys() == before.keys()


@fault("G15", "a file system that knows no flush of files", "a file is written all the same")
@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP], ids=errno.errorcode.get)
def test_files_that_cannot_be_flushed(project: Path, number: int) -> None:
    ended = JOBS["accuracy"].run(project, Hindrance(before=Refusing(folders=False, number=number)))
    assert ended.code == 0, ended.said


@fault("G15", "a flush that says that bytes were lost", "the file does not appear, one line says so")
def test_a_flush_that_lost_bytes(project: Path) -> None:
    before = contents(project)
    ended = JOBS["accuracy"].run(project, Hindrance(before=Refusing(folders=False, number=errno.EIO)))
    ended.refused("accuracy.csv", "check the disk")
    assert contents(project) == before


@fault(
    "F23", "a slice ends after hours on a disk that cannot hold it", "its bytes are compared before the first iteration"
)
def test_room_for_the_end_of_a_slice(made: Path, disk: Disk) -> None:
    disk.mount("size=6m")
    shutil.copytree(made, disk.place, dirs_exist_ok=True)
    remove(disk.place, JOBS["train"], JOBS["train on"])
    train: Job = JOBS["train"].within("model", depth=12, embed_dim=96)
    ended = train.run(disk.place)
    ended.refused("train/10.safetensors", "MB needed", "MB free", "free some space")
    assert "iteration" not in ended.said.split("error:")[0].replace("iterations", ""), ended.said
    assert not list(disk.place.glob("train/10*"))


@fault("F23", "a number of images that the disk cannot hold", "their bytes are compared before the first one")
def test_room_for_the_images(made: Path, disk: Disk) -> None:
    disk.mount("size=6m")
    shutil.copytree(made, disk.place, dirs_exist_ok=True)
    before = contents(disk.place)
    ended = JOBS["sample"].within("sample", images=200_000).run(disk.place)
    ended.refused("samples.safetensors", "12.8 MB needed", "MB free")
    assert contents(disk.place) == before


@fault("F23", "a full disk is reported without numbers", "the line says how much is free")
def test_what_is_free_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "free", lambda path: 1_500_000)
    with pytest.raises(OSError, match=r"No space left on device \(1\.5 MB free\)"), files.replacing(tmp_path / "a"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(OSError, match=r"\(2\.0 MB needed, 1\.5 MB free\)"):
        files.require_room(tmp_path / "deep/er/a", 2_000_000)


@fault("G36", "a preempted job is not sent again", "the profile allows SLURM to")
def test_the_profile_asks_for_another_try() -> None:
    assert yaml.safe_load((REPOSITORY / "slurm/config.yaml").read_text())["slurm-requeue"] is True


@fault("G09", "a copied checkout runs the code of the first one", "refused with both folders")
def test_code_and_workflow_of_two_folders(tmp_path: Path) -> None:
    shutil.copytree(REPOSITORY / "src", tmp_path / "src")
    with pytest.raises(UserError, match="make install") as error:
        checkout.refuse_two_folders(tmp_path)
    assert str(tmp_path) in str(error.value) and str(REPOSITORY / "src/diffdistill") in str(error.value)
    checkout.refuse_two_folders(REPOSITORY)
    checkout.refuse_two_folders(tmp_path / "workflow-alone")


SHOWS = """
rule which:
    output: "which.json"
    params: code="import json, sys, os; print(json.dumps([sys.executable, dict(os.environ)]))"
    conda: "../envs/environment.yaml"
    shell: "python -c {params.code:q} > {output}"
"""
IMAGE = ["--sdm", "apptainer", "--config", "container=image.sif"]


@fault(
    "G23", "--sdm env-modules, in a user's profile: `python` is not found", "only what brings an interpreter changes it"
)
@fault(
    "G23",
    "--sdm apptainer, in a user's profile, but there is no image",
    "jobs run by the interpreter that runs snakemake",
)
@fault("G18", "--sdm conda: no job finds the package", "the package is read from the workflow's folder")
@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "brings"),
    [([], None), (["--sdm", "env-modules"], None), (IMAGE[:2], None), (IMAGE, "image"), (["--sdm", "conda"], "conda")],
    ids=["nothing", "modules", "no image", "image", "conda"],
)
def test_the_interpreter_of_a_job(tmp_path: Path, arguments: list[str], brings: str | None) -> None:
    project = copied_project(tmp_path / "project")
    with (project / "workflow/Snakefile").open("a") as file:
        file.write(SHOWS)
    (project / "image.sif").touch()
    variables = {"PATH": pretend(tmp_path), "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    ended = snakemake(project, variables, "which.json", *arguments)
    assert ended.code == 0, ended.said
    interpreter, seen = json.loads((project / "which.json").read_text())
    if brings is None:
        assert "ENVIRONMENT" not in seen and Path(interpreter).parent == Path(sys.executable).parent
    else:
        place = {"image": tmp_path / "image", "conda": project / ".snakemake/conda"}[brings]
        assert seen["PYTHONPATH"] == str(project / "src") and seen["ENVIRONMENT"].startswith(str(place))
        assert {"image": "image.sif bash -c", "conda": "env create"}[brings] in (tmp_path / "calls").read_text()


@fault("G23", "--sdm apptainer with an image that is not there", "it is named before any job")
def test_a_missing_image(tmp_path: Path) -> None:
    project = copied_project(tmp_path / "project")
    ended = snakemake(project, {"PATH": pretend(tmp_path)}, "--dry-run", "all", *IMAGE)
    assert ended.code == 1 and "container: image.sif: no such file" in ended.said and "Traceback" not in ended.said
    assert snakemake(project, {}, "--dry-run", "all", *IMAGE[2:]).code == 0  # it means nothing without --sdm


@fault("G08", "of two blocks of one name the first is dropped", "file, line and both lines' numbers are named")
def test_a_repeated_key(tmp_path: Path) -> None:
    project = copied_project(tmp_path / "project")
    text = (project / "config.yaml").read_text() + "targets: [tiny]\n"
    (project / "config.yaml").write_text(text)
    ended = snakemake(project, {}, "--dry-run", "all")
    assert ended.code == 1 and "Traceback" not in ended.said
    assert f"config.yaml, line {len(text.splitlines())}: 'targets' is repeated" in ended.said, ended.said


@fault("G32", "--config cannot remove a block by null", "null removes it, also from the reports")
def test_null_by_the_command_line(tmp_path: Path) -> None:
    project = copied_project(tmp_path / "project")
    values = {**CONFIG, "reports": {"tiny": ["digits", "other"]}}
    values["experiments"] = {**CONFIG["experiments"], "other": CONFIG["experiments"]["digits"]}
    (project / "config.yaml").write_text(yaml.safe_dump(values))
    ended = snakemake(project, {}, "--dry-run", "all", "--config", "experiments={other: null}")
    assert ended.code == 0 and "results/other" not in ended.said, ended.said


@fault("G20", 'thousands of inputs: "Argument list too long"', "paths that begin alike go through one short word")
def test_two_thousand_measurements_fit_into_a_command(tmp_path: Path) -> None:
    project = copied_project(tmp_path / "project")
    values = json.loads(json.dumps(CONFIG))
    block = values["experiments"]["digits"]
    block["train"] |= {"iterations": 2000, "slice_iterations": 2000}
    block["fid"] = {"every": 1, "images": 100, "features": "classifier"}
    values["experiments"] = {"an-experiment-with-a-name-that-tells-all-of-its-settings": block}
    values["reports"] = {"tiny": list(values["experiments"])}
    (project / "config.yaml").write_text(yaml.safe_dump(values))
    table = "results/an-experiment-with-a-name-that-tells-all-of-its-settings/fid.csv"
    ended = snakemake(project, {}, "--dry-run", "--printshellcmds", table)
    assert ended.code == 0, ended.said
    longest = max(ended.said.splitlines(), key=lambda line: len(line) if line.startswith("Shell command") else 0)
    assert "checkpoint" in longest and len(longest.encode()) < 65_536
