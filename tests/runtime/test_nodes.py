"""How processes are started on several nodes, and how a lost one is named."""

from pathlib import Path

import pytest

from diffdistill.runtime import nodes

KILLED = "srun: error: n2: task 1: Killed"
FAILURE = "srun: error: Node failure on n2"
CANCELLED = "slurmstepd-n1: error: *** STEP 20.0 ON n1 CANCELLED AT 2026-11-27T22:45:35 ***"
SAID: dict[str, tuple[list[str], list[str]]] = {
    "killed": ([KILLED, CANCELLED, "srun: error: n1: task 0: Killed"], ["n2"]),
    "killed by the limit of memory": (["srun: error: n3: tasks 2-3: Exited with exit code 137"], ["n3"]),
    "powered off": ([CANCELLED, FAILURE, FAILURE], ["n2"]),
    "cancelled": ([CANCELLED, KILLED], []),
    "the others given up": (
        ["srun: error: n1: task 0: Exited with exit code 2", "srun: Terminated StepId=1.0", KILLED],
        [],
    ),
    "an error of the program": (["srun: error: n1: task 0: Exited with exit code 2"], []),
    "stopped": (["srun: error: n1: task 0: Exited with exit code 143"], []),
}
SRUN = """#!/bin/sh
echo "$@" > {folder}/asked
env > {folder}/environment
echo '{said}' >&2
exit 137
"""


@pytest.mark.parametrize("name", SAID)
def test_lost_nodes_are_named(name: str) -> None:
    said, lost = SAID[name]
    assert [node for node, _ in nodes.lost_nodes(said)] == lost


def test_each_node_runs_its_processes_and_the_log_names_the_lost_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "srun").write_text(SRUN.format(folder=tmp_path, said=KILLED))
    (tmp_path / "srun").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    log = tmp_path / "logs/20.log"
    assert nodes.main(["2", "4", "diffdistill", "train", "--threads", "8", "--log", str(log)]) == 137
    asked = (tmp_path / "asked").read_text()
    assert "--nodes=2 --ntasks=2 --ntasks-per-node=1 --cpus-per-task=8" in asked
    assert asked.endswith(f"-m diffdistill.runtime.processes 4 diffdistill train --threads 8 --log {log}\n")
    variables = dict(line.split("=", 1) for line in (tmp_path / "environment").read_text().splitlines() if "=" in line)
    assert variables["PET_NNODES"] == "2" and int(variables["PET_MASTER_PORT"]) > 1023
    assert log.read_text().endswith(
        f"error: node n2 was lost ({KILLED}); the next attempt goes on from the last save\n"
    )
    assert KILLED in capfd.readouterr().err


def test_without_slurm_nothing_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert nodes.main(["2", "4", "diffdistill", "train", "--threads", "8", "--log", str(tmp_path / "20.log")]) == 2
    said = capfd.readouterr().err
    assert "train.devices 8 with train.devices_per_node 4 takes 2 nodes" in said and said.count("\n") == 1
    assert (tmp_path / "20.log").read_text() == said
