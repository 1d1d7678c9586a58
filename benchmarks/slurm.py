"""What SLURM knows of the jobs that a workflow has submitted."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

SNAKEMAKE = (
    # -P: modules of this folder are not to be taken for libraries
    sys.executable, "-P", str(Path(__file__).with_name("impatient.py")), "--profile", "slurm",
    # nobody wants to wait 40 seconds for the first look; and a cluster of one node may keep no accounts
    "--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "1",
    "--latency-wait", "10", "--jobs", "4",
)  # fmt: skip
"""Submits to a cluster that does nothing else."""


def jobs() -> dict[str, dict[str, str]]:
    """What SLURM knows of its jobs, by their number; Comment says which rule a job runs."""
    listed = subprocess.run(["scontrol", "show", "jobs", "--oneliner"], capture_output=True, text=True, check=True)
    found = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in listed.stdout.splitlines()]
    return {job["JobId"]: job for job in found if "JobId" in job}


def wait_for(condition: Callable[[], object], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.2)


def running(rule: str) -> list[str]:
    """Numbers of the jobs that run a rule now, such as rule_train_wildcards_cifar100_4."""
    return [n for n, job in jobs().items() if job["JobState"] == "RUNNING" and job["Comment"].startswith(rule)]


def freeze(folder: Path, argument: str) -> None:
    """Stop the stages that jobs have started in a folder with an argument, as a machine that hangs does.

    Not those of local rules: nobody would end them.
    """
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended meanwhile
            words = command.read_bytes().decode().split("\0")
            here = command.with_name("cwd").resolve() == folder.resolve()
            of_job = b"SLURM_JOB_ID=" in command.with_name("environ").read_bytes()
            if here and of_job and argument in words and "diffdistill" in words:
                os.kill(int(command.parent.name), signal.SIGSTOP)
