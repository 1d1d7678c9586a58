"""How many GPUs this machine has, without importing torch."""

import os
import subprocess
from pathlib import Path


def count_gpus() -> int:
    """GPUs that a job on this machine can use: those that CUDA_VISIBLE_DEVICES lists, else all; 0 without a driver."""
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if listed is not None:
        return sum(name.strip() not in ("", "-1", "NoDevFiles") for name in listed.split(","))
    if not Path("/proc/driver/nvidia/version").exists():
        return 0
    try:
        found = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return len(list(Path("/dev").glob("nvidia[0-9]*")))
    return sum(line.startswith("GPU ") for line in found.stdout.splitlines())
