"""Jobs that SLURM preempts are sent again under their number, which is what Snakemake's plugin waits for.

By itself SLURM does so only with PreemptMode=REQUEUE, and only for jobs that it had to kill: one that saves itself and
ends within the grace period has failed, and one of PreemptMode=CANCEL stays in the state PREEMPTED.
"""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NoReturn

SECONDS = 60.0
"""Between two looks; SLURM forgets a job that is over after MinJobAge, by default 300 seconds."""


def requeue_own_job() -> bool:
    """Send the SLURM job again that this process runs in and that is being preempted; SLURM then ends this process.

    False where it is none, is not preempted, or was sent with --no-requeue.
    """
    number = os.environ.get("SLURM_JOB_ID", "")
    known = dict(re.findall(r"(\w+)=(\S*)", _ask("scontrol", "show", "job", number, "--oneliner"))) if number else {}
    if known.get("PreemptTime", "None") == "None" or known.get("Requeue") != "1":
        return False
    return _requeue(number)


def leave(signal: int) -> NoReturn:
    """End a stage that has saved itself at this signal, as a program ends that does not handle it."""
    if os.environ.get("RANK", "0") == "0":
        requeue_own_job()
    sys.exit(128 + signal)


def preempted(folder: Path | str) -> dict[str, str]:
    """Jobs of the workflow in this folder that stay preempted: the rule of each, by number."""
    listed = _ask("squeue", "--noheader", f"--user={os.getuid()}", "--states=PREEMPTED", "--format=%i|%k|%Z")
    jobs = [line.split("|", 2) for line in listed.splitlines() if line.count("|") >= 2]
    return {number: rule for number, rule, place in jobs if rule.startswith("rule_") and Path(place) == Path(folder)}


def requeue_preempted(folder: Path | str, earlier: Collection[str], say: Callable[[str], None]) -> None:
    """Send them again; earlier: jobs that nobody waits for."""
    for number, rule in preempted(folder).items():
        if number not in earlier and _requeue(number):
            say(f"job {number} ({rule}) was preempted and is sent again")


def watch(folder: Path | str, say: Callable[[str], None]) -> bool:
    """Do so as long as this process lives, if this is a SLURM that preempts."""
    configured = re.search(r"^PreemptType\s*=\s*(\S+)", _ask("scontrol", "show", "config"), re.MULTILINE)
    if configured is None or configured[1].endswith("none"):
        return False
    earlier = set(preempted(folder))

    def keep_looking() -> None:
        while True:
            time.sleep(SECONDS)
            requeue_preempted(folder, earlier, say)

    threading.Thread(target=keep_looking, name="preemption", daemon=True).start()
    return True


def _requeue(number: str) -> bool:
    return _run("scontrol", "requeue", number) is not None


def _ask(*command: str) -> str:
    return _run(*command) or ""


def _run(*command: str) -> str | None:
    """What it says; None where it fails, or there is no such command."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
