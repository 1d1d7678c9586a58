"""Pairs of measurements, reference and ours in turn, so that whatever else the machine does weighs on both."""

import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from diffdistill.runtime import devices

PAIRS = 5


@dataclass(frozen=True)
class Row:
    """One claim: how many times faster than the reference, or, with at_most, how many times its cost.

    goal None: for comparison only.
    """

    claim: str
    reference: str
    goal: float | None
    ratios: list[float]
    at_most: bool = False

    def line(self) -> str:
        median, low, high = statistics.median(self.ratios), min(self.ratios), max(self.ratios)
        goal = "none"
        if self.goal is not None:
            reached = median <= self.goal if self.at_most else median >= self.goal
            goal = f"{'at most' if self.at_most else 'at least'} {self.goal:g}{'' if reached else ', not reached'}"
        return f"| {self.claim} | {self.reference} | {goal} | {median:.2f} | {low:.2f} to {high:.2f} |"


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def in_turn(reference: Callable[[], object], ours: Callable[[], object]) -> list[tuple[float, float]]:
    """Seconds of PAIRS pairs, after one run of each that does not count."""
    reference(), ours()
    return [(seconds(reference), seconds(ours)) for _ in range(PAIRS)]


def times_faster(reference: Callable[[], object], ours: Callable[[], object]) -> list[float]:
    return [theirs / mine for theirs, mine in in_turn(reference, ours)]


def run(command: Sequence[str], folder: Path | None = None) -> str:
    """What the command prints. Raises CalledProcessError if it fails."""
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def machine() -> str:
    """Processor, threads and versions."""
    described = devices.describe(devices.best_device())
    processors = Path("/proc/cpuinfo")
    names = (
        [line for line in processors.read_text().splitlines() if line.startswith("model name")]
        if (processors.exists())
        else []
    )
    described["processor"] = names[0].split(":")[1].strip() if names else platform.machine()
    described["bfloat16"] = str(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return ", ".join(f"{name} {value}" for name, value in described.items())


def table(rows: Sequence[Row]) -> str:
    head = "| claim | reference | goal | ratio: median | least to most |\n|---|---|---|---|---|\n"
    return head + "\n".join(row.line() for row in rows)
