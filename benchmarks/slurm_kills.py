"""Disturbs a small experiment on a SLURM cluster at random moments, and compares its results with an undisturbed run's.

python -m benchmarks.slurm_kills --rounds 10: in turn a job's time runs out, jobs are cancelled, and the submitting
process is killed while its jobs run on; then the same command resumes. It needs `sbatch`, and the partitions cpu and
gpu. Exits with 1 on any difference: other bits (apart from measured times), a row or file lost, duplicated or left
over. With --toy one round of a tinier experiment.
"""

import itertools
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from benchmarks import measuring, projects
from benchmarks.slurm import SNAKEMAKE, freeze, jobs, running, wait_for
from benchmarks.tiny import timeless

SMALL = """
experiments:
  digits:
    threads: 1
    model: {channels: 8, num_heads: 2}
    train:
      {iterations: 1200, slice_iterations: 600, warmup_iterations: 10, batch_size: 32, save_seconds: 0.5, log_every: 20}
    fid: {every: 600, images: 300}
    classifier: {protocol: {steps: 100, width: 16}}
"""
TOY = SMALL.replace("1200", "20").replace("600", "20").replace("300", "60").replace("100", "5")
TARGETS = ("results/digits/loss.csv", "results/digits/fid.csv")
"""At toy size the first alone."""
COMMAND = (*SNAKEMAKE, "--configfile=small.yaml")
KINDS = ("scancel", "time limit", "submitting process killed")
MADE = ("results/digits", "data", "logs", ".snakemake")


def results(folder: Path) -> dict[str, Any]:
    """By path, without measured times and the hash of weights, whose files hold the seconds of their training."""
    paths = [path for name in ("results/digits", "data") for path in (folder / name).rglob("*") if path.is_file()]
    found = {str(path.relative_to(folder)): timeless(path) for path in paths}
    for value in found.values():
        for row in value if isinstance(value, list) else [value]:
            if isinstance(row, dict):
                row.pop("weights_sha256", None)
    return found


def finish(folder: Path, targets: Sequence[str]) -> None:
    for _ in range(3):
        ended = subprocess.run([*COMMAND, *targets], cwd=folder, capture_output=True, text=True, check=False)
        if ended.returncode == 0:
            return
    raise RuntimeError(ended.stdout[-2000:] + ended.stderr[-4000:])


def disturbed(folder: Path, targets: Sequence[str], kind: str, moment: float) -> bool:
    """Run with one disturbance after `moment` seconds, then to the end. False if all was done before it."""
    for name in MADE:
        shutil.rmtree(folder / name, ignore_errors=True)
    before, nothing = set(jobs()), subprocess.DEVNULL
    with subprocess.Popen([*COMMAND, *targets], cwd=folder, stdout=nothing, stderr=nothing) as submitting:
        time.sleep(moment)
        if kind == "submitting process killed":
            submitting.send_signal(signal.SIGKILL)
            hit = submitting.wait() == -signal.SIGKILL
        else:
            wait_for(lambda: running("rule_") or submitting.poll() is not None, 120, "a job that runs")
            if kind == "time limit":
                freeze(folder, "--threads")  # every stage has it; the scheduler looks at the time twice a minute
            for number in running("rule_"):
                end = ["scontrol", "update", f"JobId={number}", "EndTime=now"]
                subprocess.run(end if kind == "time limit" else ["scancel", number], check=False)
            submitting.wait()
            ends = {job["JobState"] for number, job in jobs().items() if number not in before}
            hit = bool(ends & {"TIMEOUT", "CANCELLED"})
    finish(folder, targets)
    return hit


def main(argv: Sequence[str] | None = None) -> int:
    parser = measuring.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parser.parse_args(argv)
    if shutil.which("sbatch") is None:
        print("error: no sbatch on this machine; run it where SLURM is installed", file=sys.stderr)
        return 2
    moments, failures = Random(arguments.seed), list[str]()
    with tempfile.TemporaryDirectory(dir=Path.home()) as name:
        folder = projects.copy(Path(name) / "project")
        (folder / "small.yaml").write_text(TOY if arguments.toy else SMALL)
        targets = TARGETS[:1] if arguments.toy else TARGETS
        started = time.monotonic()
        finish(folder, targets)
        seconds, expected = time.monotonic() - started, results(folder)
        print(f"undisturbed: {len(expected)} files in {seconds:.0f} s\n")
        print("| round | disturbance | after, s | hit | all identical |\n|---|---|---|---|---|")
        rounds = range(1 if arguments.toy else arguments.rounds)
        for number, kind in zip(rounds, itertools.cycle(KINDS), strict=False):
            moment = moments.uniform(0.05, 0.85) * seconds
            hit = disturbed(folder, targets, kind, moment)
            found = results(folder)
            wrong = [path for path in sorted({*found, *expected}) if found.get(path) != expected.get(path)]
            shown = "yes" if hit else "no"
            print(f"| {number} | {kind} | {moment:.0f} | {shown} | {', '.join(wrong) or 'yes'} |", flush=True)
            failures += wrong
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
