"""Kills, crashes and neighbours: a file is whole or absent, and the same command ends with the same bytes."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks.kills import CHAINS, through_kills, undisturbed
from benchmarks.processes import Hindrance, Process
from benchmarks.tiny import JOBS, MODEL, TRAIN, Job, contents, left_over, remove, results

from diffdistill.runtime import files, tensor_files
from tests.faults import fault

REPOSITORY = Path(__file__).parents[2]
KILLS = 5


@fault(
    "F23", "a job killed while it works leaves half a file", "files are whole or absent, the rerun ends bit-identical"
)
@fault("F23", "a killed save leaves a temporary file of its own in each folder", "nothing is left over at the end")
@fault("F26", "a table made after kills lacks a row or has one twice", "each row is of one file, which is whole")
@pytest.mark.parametrize("stage", CHAINS)
def test_kills_at_random_moments(project: Path, stage: str) -> None:
    expected, moments, hits = undisturbed(CHAINS[stage], project), random.Random(stage), 0
    while hits < KILLS:
        kills, wrong = through_kills(CHAINS[stage], project, expected, moments)
        hits += kills
        assert not wrong


def die_at_a_call() -> None:
    """Kill this process in the place of its DIE_AT-th call of those that make a file appear."""
    left = int(os.environ["DIE_AT"])

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **named)

        return call

    tempfile.mkstemp = counted(tempfile.mkstemp)
    os.fsync, os.replace = counted(os.fsync), counted(os.replace)  # type: ignore[assignment]


@fault("F23", "a crash between writing and renaming", "killed at every single step of it, no half file ever shows")
@pytest.mark.parametrize("name", ["prepare", "train", "checkpoint", "sample"])
def test_a_kill_at_every_step_of_writing(project: Path, name: str) -> None:
    job = JOBS[name]
    expected = results(project, job)
    remove(project, job)
    codes = []
    while not codes or codes[-1]:
        environment = {"DIE_AT": str(len(codes) + 1)}
        ended = job.run(project, Hindrance(before=die_at_a_call, environment=environment))
        codes.append(ended.code)
        assert ended.code in (0, -signal.SIGKILL), ended.said
        assert results(project, job).items() <= expected.items()
    assert len(codes) > 4 * len(job.outputs) and not left_over(project)
    assert set(results(project, job)) == set(expected)


@fault("F23", "killed jobs fill the disk with temporary files", "the next write of a file removes what a dead one left")
def test_what_a_dead_process_left_is_removed_and_a_living_ones_is_not(tmp_path: Path) -> None:
    target = tmp_path / "a.safetensors"
    (tmp_path / ".a.safetensors.part-deadbeef.safetensors").write_bytes(bytes(100))
    (tmp_path / ".b.safetensors.part-deadbeef.safetensors").write_bytes(b"of another file")
    with files.replacing(target) as living:
        living.write_text("first")
        with files.replacing(target) as other:
            other.write_text("second")
        assert living.exists() and target.read_text() == "second"
    assert target.read_text() == "first"
    assert [path.name for path in tmp_path.glob(".*")] == [".b.safetensors.part-deadbeef.safetensors"]


@fault("F23", "a file's name is on disk before its content", "content is flushed before the rename, its folder after")
def test_content_is_flushed_before_the_name_appears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, bool]] = []
    target, fsync, rename = tmp_path / "a.json", os.fsync, os.replace

    def recorded_fsync(descriptor: int) -> None:
        calls.append(("flush", Path(f"/proc/self/fd/{descriptor}").resolve() == tmp_path))
        fsync(descriptor)

    def recorded_rename(source: Any, destination: Any) -> None:
        calls.append(("rename", False))
        rename(source, destination)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(os, "replace", recorded_rename)
    files.write_json(target, {})
    assert calls == [("flush", False), ("rename", False), ("flush", True)]


@fault("F23", "progress was cut off by a full disk or a crash of the machine", "the file is named, with what to do")
@pytest.mark.parametrize("keep", [0, 7, 400, -1])
def test_cut_progress_is_named(project: Path, keep: int) -> None:
    job = JOBS["train"]
    progress = project / "train/10.progress.safetensors"
    progress.write_bytes((project / "train/10.safetensors").read_bytes()[:keep])
    remove(project, job)
    ended = job.run(project)
    if ended.code:
        ended.refused("train/10.progress.safetensors", "delete it and run again")
        progress.unlink()
        ended = job.run(project)
    assert ended.code == 0, ended.said


@fault("F22", "a diverged training goes on and is saved over", "it stops by name, and what was saved is finite")
def test_a_diverging_training_stops_and_leaves_nothing_broken(project: Path) -> None:
    settings = {**TRAIN, "learning_rate": 1e20, "warmup_iterations": 0, "save_seconds": 1e-9, "iterations": 200}
    remove(project, JOBS["train"])
    job = replace(JOBS["train"], outputs={"state": "diverged/200.safetensors"})
    ended = job.run(project, train={**settings, "slice_iterations": 200}, until=200)
    ended.refused("train.learning_rate")
    assert not (project / "diverged/200.safetensors").exists()
    for saved in (project / "diverged").glob("*.safetensors"):
        assert all(torch.isfinite(tensor).all() for tensor in tensor_files.load(saved)[0].values())


@fault("F24", "a scheduler's warning reaches the shell, not the program", "each rule replaces its shell by the program")
def test_no_shell_stands_between_a_signal_and_the_program() -> None:
    rules = [file.read_text() for file in (REPOSITORY / "workflow/rules").glob("*.smk")]
    shells = [line for text in rules for line in re.findall(r"^    shell:\n\s+(.*)", text, re.MULTILINE)]
    assert len(shells) > 10 and all(line.startswith("stage(") for line in shells), shells
    (command,) = re.findall(r"def stage\(.*?return \(\s+f\"(.*?)\"", "".join(rules), re.DOTALL)
    assert command.startswith("exec python")


SNAKEFILE = """
rule table:
    output: "accuracy.csv"
    log: "logs/table.log"
    retries: 1
    shell:
        "FILE=accuracy/0.json; [ -e tried ] || FILE=none.json; touch tried; "
        "exec {python} -m diffdistill accuracy --settings-file settings.json "
        "--log logs/table.log --in accuracy=$FILE --out table=accuracy.csv"
"""


@fault("F25", "the second attempt deletes the log of the first", "each failed attempt's log stays beside the log")
def test_the_log_of_a_failed_attempt_outlives_the_retry(project: Path) -> None:
    (project / "accuracy.csv").unlink()
    (project / "Snakefile").write_text(SNAKEFILE.replace("{python}", sys.executable))
    (project / "settings.json").write_text('{"experiment": "x"}')
    command = [sys.executable, "-m", "snakemake", "--cores", "1"]
    run = subprocess.run(command, cwd=project, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert run.returncode == 0, run.stdout + run.stderr
    logs = {path.name: path.read_text() for path in (project / "logs").iterdir()}
    assert sorted(logs) == ["table.attempt-1.log", "table.log"]
    assert "none.json: no such file" in logs["table.attempt-1.log"] and "none.json" not in logs["table.log"]


@fault("F26", "rows doubled or out of order after a restart", "tables are made anew, sorted, of one file a measurement")
def test_tables_are_sorted_and_the_same_bytes_each_time(project: Path) -> None:
    before = contents(project)
    for name in ("checkpoint", "accuracy"):
        remove(project, JOBS[name])
        assert JOBS[name].run(project).code == 0
    assert contents(project) == before
    steps = [int(line.split(",")[0]) for line in (project / "fid.csv").read_text().splitlines()[1:]]
    assert steps == [10, 20]
    seeds = [line.split(",")[3] for line in (project / "accuracy.csv").read_text().splitlines()]
    assert seeds == ["seed", "0", "1"]


@fault("F26", "one measurement stands twice in a table", "it is refused by name")
@pytest.mark.parametrize(("name", "what"), [("checkpoint", "checkpoint"), ("accuracy", "train set and seed")])
def test_a_measurement_given_twice_is_refused(project: Path, name: str, what: str) -> None:
    job, before = JOBS[name], contents(project)
    replace(job, inputs=[*job.inputs, job.inputs[0]]).run(project).refused("two inputs", what, "once")
    assert contents(project) == before


def a_long_training() -> Job:
    settings = {**TRAIN, "iterations": 50_000, "slice_iterations": 50_000}
    config = {"model": MODEL, "train": settings, "snapshot_every": 10_000, "until": 50_000}
    return Job("train", config, JOBS["train"].inputs, {"state": "long/50000.safetensors"})


@fault("F29", "two processes train into the same file", "the second one is refused by name, the first goes on")
def test_a_second_training_of_one_slice_is_refused(project: Path) -> None:
    job = a_long_training()
    first = Process(job.argv(), project)
    progress = project / "long/50000.progress.safetensors"
    while not progress.exists():
        assert first.wait(0.02) is None
    saved = progress.stat().st_mtime_ns
    # beside it, or both would write to one file what they say
    beside = Path(shutil.copytree(project / "data", project.with_name("second") / "data")).parent
    (beside / "long").symlink_to(project / "long")
    job.run(beside).refused("long/50000.safetensors", "another process")
    while progress.stat().st_mtime_ns == saved:
        assert first.wait(0.02) is None
    first.kill()


@fault("F29", "two processes prepare the same data", "both end, and each file is whole, from one of them")
def test_two_processes_prepare_at_the_same_time(made: Path, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "other")]
    (tmp_path / "data").mkdir()
    processes = []
    for folder in folders:
        folder.mkdir()
        (folder / "data").symlink_to(tmp_path / "data")
        processes.append(Process(JOBS["prepare"].argv(), folder))
    for process in processes:
        ended = process.wait()
        assert ended is not None and ended.code == 0
    names = {f"{split}.safetensors" for split in ("train", "validation", "test")}
    found = contents(made / "data")
    assert contents(tmp_path / "data") == {name: found[name] for name in names}


class BackwardClock:
    """The time of day, an hour earlier at each look."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        self.now -= 3600
        return self.now


def set_the_clock_back() -> None:
    time.time = BackwardClock()


@fault("F26", "the clock is set back during a budgeted run", "seconds are counted by a clock that never goes back")
def test_the_clock_goes_backwards(project: Path) -> None:
    job = JOBS["sample"]
    remove(project, job)
    hindered = Hindrance(before=set_the_clock_back)
    ended = job.within("sample", images=None, budget_seconds=4).run(project, hindered)
    assert ended.code == 0, ended.said
    account = json.loads((project / "samples.json").read_text())
    assert 0 < account["used_seconds"] <= 4 and account["images"] > 100
    assert all(seconds >= 0 for seconds in account["seconds"].values())
    training = JOBS["train"]
    remove(project, training)
    assert training.run(project, hindered).code == 0


@pytest.fixture
def stopped(project: Path) -> Iterator[Process]:
    remove(project, JOBS["evaluate"])
    process = Process(CHAINS["evaluate"][0].argv(), project)
    yield process
    process.kill()


@fault("F24", "Ctrl-C prints pages of traceback", "it ends in one line, and nothing half is left")
def test_an_interrupt_from_the_keyboard(stopped: Process, project: Path) -> None:
    ended = stopped.wait(2)  # it is at work by then, or has ended
    if ended is None:
        os.kill(stopped.pid, signal.SIGINT)
        ended = stopped.wait(60)
    assert ended is not None and ended.code in (130, 0) and "Traceback" not in ended.said, ended.said
    assert (project / "accuracy/0.json").exists() == (ended.code == 0) and not left_over(project)
