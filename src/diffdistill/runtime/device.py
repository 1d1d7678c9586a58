"""Which device computes, with how many threads, and the versions that a result records."""

import platform
from importlib.metadata import version

import torch


def use_threads(threads: int) -> None:
    """Limit torch to the threads that the job was given."""
    torch.set_num_threads(threads)


def best_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def synchronise(device: torch.device) -> None:
    """Wait until all work queued on the device is done, so that a clock read after it is true."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def describe(device: torch.device) -> dict[str, str]:
    """Device, threads and library versions, for the metadata of a result."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    packages = ("diffdistill", "torch", "timm", "numpy", "scikit-learn", "safetensors")
    return {
        "device": f"{device.type} ({name})",
        "threads": str(torch.get_num_threads()),
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
    }
