"""Training on two nodes: a SLURM of two `slurmd` on this machine, one process each; one node is lost, then both are."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from benchmarks.slurm import jobs, wait_for

from diffdistill.data import image_files
from diffdistill.runtime import preemption
from tests.stages.test_train import arguments, equal, launched, trained

pytestmark = pytest.mark.slow
CONFIGURATION = """
ClusterName=two
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SchedulerParameters=sched_interval=1,bf_interval=1
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
AccountingStorageType=accounting_storage/none
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=4 RealMemory=8000
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=4 RealMemory=8000
PartitionName=low Nodes=n1,n2 Default=YES State=UP PriorityTier=1 GraceTime=60
PartitionName=cancelled Nodes=n1,n2 State=UP PriorityTier=1 PreemptMode=CANCEL
PartitionName=high Nodes=n1,n2 State=UP PriorityTier=2 PreemptMode=OFF
"""


@pytest.fixture
def two_nodes(tmp_path: Path, cluster: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A SLURM of its own beside the other one, whose munged it shares."""
    folder = tmp_path / "slurm"
    for name in ("state", "n1", "n2"):
        (folder / name).mkdir(parents=True)
    text = CONFIGURATION.format(folder=folder, host=socket.gethostname().split(".")[0], ports=free_ports(3))
    (folder / "slurm.conf").write_text(text)
    (folder / "cgroup.conf").write_text("CgroupAutomount=no\n")
    monkeypatch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
    for command in (["slurmctld"], ["slurmd", "-N", "n1"], ["slurmd", "-N", "n2"]):
        subprocess.run(command, check=True)
    yield
    subprocess.run(["scancel", "--full", "--user", "root"], check=False)
    for file in folder.glob("*.pid"):
        with suppress(ProcessLookupError):
            os.kill(int(file.read_text()), signal.SIGKILL)


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("", 0)) for _ in range(count)]
    found = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return found


def submitted(partition: str, command: list[str], *options: str) -> str:
    """The number of a job on both nodes, which logs beside the configuration."""
    wanted = ["--nodes=2", "--ntasks=2", "--cpus-per-task=1", "--mem=100", "--requeue", "--exclusive"]
    log = Path(os.environ["SLURM_CONF"]).with_name("%j.log")
    call = [
        "sbatch",
        "--parsable",
        f"--partition={partition}",
        f"--output={log}",
        "--open-mode=append",
        *wanted,
        *options,
    ]
    script = f"#!/bin/sh\nexec {shlex.join(command)}\n"
    return subprocess.run(call, input=script, capture_output=True, text=True, check=True).stdout.strip()


def kill_node(name: str, job: str) -> None:
    """End all processes that a job has on a node, as a machine does that loses its power."""
    for variables in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # it has ended meanwhile
            words = variables.read_bytes().decode().split("\0")
            if f"SLURMD_NODENAME={name}" in words and f"SLURM_JOB_ID={job}" in words:
                os.kill(int(variables.parent.name), signal.SIGKILL)


def test_a_lost_node_and_a_preemption_change_no_bit(tmp_path: Path, two_nodes: None) -> None:
    data, log, count = tmp_path / "train.safetensors", tmp_path / "train.log", 200
    images = torch.randint(0, 256, (103, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    image_files.save(
        data, images, torch.arange(103) % 3, {"classes": json.dumps(["a", "b", "c"]), "source_checksum": ""}
    )
    asked = {"until": count, "devices": 2, "save_seconds": 0.01, "iterations": count, "slice_iterations": count}
    together, apart = tmp_path / f"one/{count}.safetensors", tmp_path / f"two/{count}.safetensors"
    progress = apart.with_name(f"{count}.progress.safetensors")
    stage = ["diffdistill", *arguments(data, apart, devices_per_node=1, **asked), "--threads", "1", "--log", str(log)]
    command = [sys.executable, "-P", "-m", "diffdistill.runtime.nodes", "2", "1", *stage]

    def state(job: str) -> str:
        return jobs()[job]["JobState"]

    lost = submitted("low", command)
    wait_for(progress.exists, 60, "the first save")
    kill_node("n2", lost)
    wait_for(lambda: state(lost) == "FAILED", 60, "the end of the job that lost a node")
    assert "error: node n2 was lost (srun: error: n2: task 1: Killed)" in log.read_text(), log.read_text()
    assert not apart.exists()

    saved = progress.stat().st_mtime_ns
    preempted = submitted("low", command)
    wait_for(lambda: progress.stat().st_mtime_ns > saved, 60, "a save of the second attempt")
    submitted("high", ["true"])
    wait_for(lambda: state(preempted) == "PENDING", 60, "the preempted job's return to the queue")
    assert "signal 15: saved iteration" in log.read_text(), log.read_text()
    subprocess.run(["scontrol", "update", f"JobId={preempted}", "StartTime=now"], check=True)  # else in two minutes
    reference = launched(2, arguments(data, together, **asked))
    assert reference.returncode == 0, reference.stderr
    wait_for(lambda: state(preempted) == "COMPLETED", 60, "the end of the preempted job")
    assert log.read_text().count("resuming from") == 2
    assert equal(trained(apart), trained(together))


def test_jobs_that_slurm_does_not_send_again_are_sent_again(two_nodes: None) -> None:
    folder, said = Path.cwd(), []
    lost = submitted("cancelled", ["srun", "--nodes=2", "sleep", "60"], "--comment=rule_train_digits_20")
    wait_for(lambda: jobs()[lost]["JobState"] == "RUNNING", 20, "the job's start")
    submitted("high", ["true"])
    wait_for(lambda: lost in preemption.preempted(folder), 20, "its preemption")
    preemption.requeue_preempted(folder, [lost], said.append)
    assert not said and jobs()[lost]["JobState"] == "PREEMPTED"
    preemption.requeue_preempted(folder, [], said.append)
    assert said == [f"job {lost} (rule_train_digits_20) was preempted and is sent again"]
    assert jobs()[lost]["JobState"] == "PENDING" and not preemption.preempted(folder)
