"""Which device computes, how exactly and with how many threads, and the versions that a result records."""

import ctypes
import os
import platform
import sys
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import torch

from diffdistill.runtime import gpus

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
"""Numbers of settings in glibc's malloc.h."""


def set_up(threads: int) -> None:
    """Limit torch to the threads that the job was given, and keep the memory that it frees for what comes next.

    glibc gives a large block back to the system at once, and each of its pages costs a fault when it is taken anew: on
    a CPU nearly half of a ConvNet's step.
    """
    torch.set_num_threads(threads)
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another C library has no mallopt, and does without
            libc = ctypes.CDLL("libc.so.6")
            libc.mallopt(_M_MMAP_MAX, 0)
            libc.mallopt(_M_TRIM_THRESHOLD, -1)


def best_device(local_rank: int = 0) -> torch.device:
    """The GPU of the process with this number on its machine, or the CPU."""
    return torch.device("cuda", local_rank) if torch.cuda.is_available() else torch.device("cpu")


def require_gpus(processes: int, setting: str) -> None:
    """As `gpus.require` does, with what torch sees."""
    gpus.require(processes, setting, {"torch sees": torch.cuda.device_count()})


def precision(wanted: str, device: torch.device) -> torch.dtype:
    """Of matrix products, by its name: float32, bfloat16, or auto, which is bfloat16 where the device multiplies it.

    By what the device is, not by a measurement: the same command on the same machine must compute the same.
    """
    if wanted == "auto":
        if device.type == "cuda":
            native = torch.cuda.is_bf16_supported(including_emulation=False)
        else:
            native = not processor_instructions().isdisjoint({"avx512_bf16", "amx_bf16"})
        wanted = "bfloat16" if native else "float32"
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[wanted]


def processor_instructions() -> set[str]:
    """Names of the instruction sets that torch uses here; ATEN_CPU_CAPABILITY limits them, as it limits torch."""
    found: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()  # newer than the oldest torch we take
    limited = os.environ.get("ATEN_CPU_CAPABILITY", "").lower() in ("default", "avx2")
    return {name for name, there in found.items() if there and not (limited and name.startswith(("avx512", "amx")))}


def processor_name() -> str:
    """As its maker calls it where Linux says so, which `platform` does not read; else what `platform` knows."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(named), platform.processor() or platform.machine())


def synchronise(device: torch.device) -> None:
    """Wait until all work queued on the device is done, so that a clock read after it is true."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def describe(device: torch.device) -> dict[str, str]:
    """Device, what `precision: auto` is on it, threads and library versions, for the metadata of a result."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor_name()
    packages = ("diffdistill", "torch", "timm", "numpy", "scikit-learn", "safetensors")
    return {
        "device": f"{device.type} ({name})",
        "auto precision": str(precision("auto", device)).removeprefix("torch."),
        "threads": str(torch.get_num_threads()),
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
    }
