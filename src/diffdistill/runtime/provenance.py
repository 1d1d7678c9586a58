"""What a result records of its making beside its own numbers: settings, inputs, device and versions."""

import json
from typing import Any

import torch

from diffdistill.runtime import devices, files
from diffdistill.runtime.program import Job


def of(job: Job, device: torch.device) -> dict[str, Any]:
    """The stage's settings, the sha256 of each input by its name, and the machine; nothing that tells the time."""
    inputs = {name: [files.sha256(path) for path in paths if path.is_file()] for name, paths in job.inputs.items()}
    return {"config": job.config, "inputs": inputs, "machine": devices.describe(device)}


def as_metadata(job: Job, device: torch.device) -> dict[str, str]:
    """The same as the one text that a file of tensors carries."""
    return {"made_from": json.dumps(of(job, device), sort_keys=True)}
