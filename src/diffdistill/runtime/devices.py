"""Which device computes, how exactly and with how many threads, and the versions that a result records."""

import ctypes
import functools
import os
import platform
import socket
import sys
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import torch

from diffdistill.runtime import gpus

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
"""Numbers of settings in glibc's malloc.h."""
PLACES = 16
"""Jobs on one GPU that are told apart; more than one only if Snakemake was told of more GPUs than there are."""
_HELD: list[socket.socket] = []
"""Closing them would give the GPU away."""


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


def best_device(local_rank: int | None = None) -> torch.device:
    """The visible GPU that the fewest jobs have, which this process keeps to its end; without GPUs the CPU.

    local_rank: the process's number among those of its job on this machine, none of which share a GPU; None: the job is
    this process alone.
    """
    if not torch.cuda.is_available():
        return torch.device("cpu")
    device = torch.device("cuda", _take_gpu(local_rank))
    torch.cuda.set_device(device)  # also for what names none, such as a user's generator
    return device


@functools.cache
def _take_gpu(local_rank: int | None) -> int:
    """The number of a GPU; nothing else on a workstation shares out its GPUs among jobs that run at once."""
    for place in range(PLACES):
        for card in range(torch.cuda.device_count()):
            name = getattr(torch.cuda.get_device_properties(card), "uuid", card)
            if _hold(f"{name}-{place}"):
                # the processes of a job meet at a port, and no other job of this machine does
                if local_rank is None or _hold(f"{name}-port-{os.environ.get('MASTER_PORT')}"):
                    return card
                _HELD.pop().close()  # another process of this job has the GPU
    return local_rank or 0


def _hold(name: str) -> bool:
    """Whether no process on this machine has this name; it is now this one's, until it ends in whatever way.

    A socket without a file, of Linux: other users see it, nothing is left behind, and no file system has to lock.
    """
    held = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        held.bind(f"\0diffdistill-gpu-{name}")
    except OSError:
        held.close()
        return False
    _HELD.append(held)
    return True


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
    """The model name in Linux's /proc/cpuinfo, which `platform` does not read; elsewhere what `platform` returns."""
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
