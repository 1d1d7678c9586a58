"""How many GPUs this machine has and a job was granted, without importing torch."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from diffdistill.errors import UserError


def count_gpus() -> int:
    """GPUs that a job on this machine can use: those that CUDA_VISIBLE_DEVICES lists, else all; 0 without a driver."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return _listed()
    if not Path("/proc/driver/nvidia/version").exists():
        return 0
    try:
        found = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return len(list(Path("/dev").glob("nvidia[0-9]*")))
    return sum(line.startswith("GPU ") for line in found.stdout.splitlines())


def require(processes: int, setting: str, seen: Mapping[str, int]) -> None:
    """Raises UserError with both numbers if fewer GPUs than processes are there, or were granted by the scheduler.

    setting: where their number stands, such as train.devices; seen: how many there are by who says so. A machine
    without GPUs computes on the CPU; only what a scheduler granted is then compared.
    """
    granted = os.environ.get("SLURM_GPUS_ON_NODE", "")
    found = {
        "CUDA_VISIBLE_DEVICES lists": _listed(),
        "SLURM granted": int(granted) if granted.isdecimal() else 0,
        **seen,
    }
    for what, count in found.items():
        if 0 < count < processes:
            raise UserError(
                f"{processes} processes on this machine need a GPU each, but {what} {count}; "
                f"ask the scheduler for {processes}, or set {setting} to {count}"
            )


def _listed() -> int:
    """Names of devices are counted, never read: they need not be numbers."""
    names = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    return sum(name.strip() not in ("", "-1", "NoDevFiles") for name in names)
