"""torchrun on several nodes of a SLURM job: `srun` starts it on each, and a node that is lost is named.

python -m diffdistill.runtime.nodes NODES COUNT MODULE ARGUMENTS... runs `processes` with COUNT processes on each node
of its job; the arguments say --threads. It is started on the first of them, where the others meet. When one node has
ended, `srun` gives the others a minute.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import FrameType

GRACE_SECONDS = 60
"""Between the end of one node and that of the others, which may be saving."""
KILLED = re.compile(r"srun: error: (\S+): tasks? [\d,-]+: (?:Killed|Exited with exit code 137)")
"""How srun says that a node's processes were killed. Once the job is being ended it says so of healthy nodes too."""
FAILED = re.compile(r"srun: error: Node failure on (\S+)")


def command(nodes: int, count: int, threads: int, module: Sequence[str]) -> list[str]:
    """What starts the processes of each node. All options are given, because Snakemake removes SLURM's variables."""
    return [
        "srun", f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1", f"--cpus-per-task={threads}",
        "--cpu-bind=none", f"--wait={GRACE_SECONDS}", "--kill-on-bad-exit=0",
        sys.executable, "-P", "-m", "diffdistill.runtime.processes", str(count), *module,
    ]  # fmt: skip


def meeting(nodes: int) -> dict[str, str]:
    """torchrun's variables that say where the nodes meet: here, at a port that is free now."""
    with socket.socket() as found:
        found.bind(("", 0))
        port = found.getsockname()[1]
    return {"PET_NNODES": str(nodes), "PET_MASTER_ADDR": socket.gethostname(), "PET_MASTER_PORT": str(port)}


def lost_nodes(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Names of the nodes that are lost, each once, and the line of srun that says so; as soon as it is read."""
    names, ended = set(), False
    for line in lines:
        ended = ended or "CANCELLED AT" in line or "Terminated StepId" in line
        found = FAILED.search(line) or (None if ended else KILLED.search(line))
        if found is not None and found[1] not in names:
            names.add(found[1])
            yield found[1], line.strip()


def main(argv: Sequence[str]) -> int:
    """The exit code of the first node that failed."""
    nodes, count, *module = argv
    if "SLURM_JOB_ID" not in os.environ:
        total = int(nodes) * int(count)
        _say(
            f"error: train.devices {total} with train.devices_per_node {count} takes {nodes} nodes of a SLURM job, and "
            f"this is none: submit it by --profile slurm, or set devices to at most {count}",
            module,
        )
        return 2
    environment = {**os.environ, **meeting(int(nodes))}
    started = subprocess.Popen(
        command(int(nodes), int(count), int(module[module.index("--threads") + 1]), module),
        env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace",
    )  # fmt: skip

    def pass_on(number: int, frame: FrameType | None) -> None:
        started.send_signal(number)  # srun gives it to all nodes

    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, pass_on)
    assert started.stderr is not None
    for node, line in lost_nodes(_passed_on(started.stderr)):
        # at once: with the job SLURM ends this program too
        _say(f"error: node {node} was lost ({line}); the next attempt goes on from the last save", module)
    code = started.wait()
    return code if code >= 0 else 128 - code


def _passed_on(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        sys.stderr.write(line)
        yield line


def _say(text: str, module: Sequence[str]) -> None:
    """To the terminal and the stage's log, where the workflow looks for errors."""
    line = f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n"
    sys.stderr.write(line)
    if "--log" in module[:-1]:
        log = Path(module[module.index("--log") + 1])
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as file:
            file.write(line)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
