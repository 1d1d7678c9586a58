"""Pairs of measurements, reference and ours in turn, so that other load on the machine slows both."""

import argparse
import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from diffdistill.runtime import devices

PAIRS = 5
CPU = torch.device("cpu")


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
    device: torch.device = CPU

    def line(self) -> str:
        median, low, high = statistics.median(self.ratios), min(self.ratios), max(self.ratios)
        goal = "none"
        if self.goal is not None:
            reached = median <= self.goal if self.at_most else median >= self.goal
            goal = f"{'at most' if self.at_most else 'at least'} {self.goal:g}{'' if reached else ', not reached'}"
        processor = processor_class(self.device)
        return f"| {self.claim} | {self.reference} | {processor} | {goal} | {median:.2f} | {low:.2f} to {high:.2f} |"


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def in_turn(
    reference: Callable[[], object], ours: Callable[[], object], pairs: int = PAIRS, *, warm_up: bool = True
) -> list[tuple[float, float]]:
    """Seconds of some pairs; warm_up: after one run of each that does not count."""
    if warm_up:
        reference(), ours()
    return [(seconds(reference), seconds(ours)) for _ in range(pairs)]


def times_faster(reference: Callable[[], object], ours: Callable[[], object], pairs: int = PAIRS) -> list[float]:
    return [theirs / mine for theirs, mine in in_turn(reference, ours, pairs)]


def run(command: Sequence[str], folder: Path | None = None) -> str:
    """What the command prints. Raises CalledProcessError if it fails."""
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def processor_class(device: torch.device = CPU) -> str:
    """The kind of processor that ratios depend on most: its vector instructions, or the name of the GPU."""
    if device.type == "cuda":
        return f"GPU: {torch.cuda.get_device_name(device)}"
    found = devices.processor_instructions()
    if "avx512_f" not in found:
        limited = "ATEN_CPU_CAPABILITY" in os.environ  # the libraries beside torch take variables of their own
        return ("limited to AVX2" if limited else "AVX2 only") if "avx2" in found else platform.machine()
    return "AVX-512 with bfloat16" if "avx512_bf16" in found else "AVX-512"


def machine() -> str:
    """Processor, threads and versions."""
    return as_text(devices.describe(devices.best_device()))


def as_text(machine: Mapping[str, str]) -> str:
    """Processor, threads and versions, as `devices.describe` or an account tells them."""
    return ", ".join(f"{name} {value}" for name, value in machine.items())


def recorded(path: Path) -> list[dict[str, Any]]:
    """The rows of a file of JSON lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def record(path: Path, row: Mapping[str, Any]) -> None:
    """Append a row to a file of JSON lines."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def table(rows: Sequence[str]) -> str:
    """A table in Markdown of the lines of rows."""
    head = "| claim | reference | processor | goal | ratio: median | least to most |\n|---|---|---|---|---|---|\n"
    return head + "\n".join(rows)


def parser(description: str | None) -> argparse.ArgumentParser:
    """Of a benchmark's command line; with `--toy` it runs in seconds, prints its table and changes no page."""
    arguments = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--toy", action="store_true", help="tiny sizes: a test of the command; no page is changed")
    return arguments
