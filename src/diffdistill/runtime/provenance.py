"""What a result records of how it was made: settings, inputs, device and versions; nothing that tells the time."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from diffdistill.config.fields import Block
from diffdistill.runtime import devices, files


def of(settings: Block, inputs: Mapping[str, Iterable[Path]], device: torch.device) -> dict[str, Any]:
    """The settings, the sha256 of each input file by its name, and the machine."""
    digests = {name: [files.sha256(path) for path in paths if path.is_file()] for name, paths in inputs.items()}
    return {"settings": settings.model_dump(mode="json"), "inputs": digests, "machine": devices.describe(device)}


def as_metadata(settings: Block, inputs: Mapping[str, Iterable[Path]], device: torch.device) -> dict[str, str]:
    """The same as the one text that a file of tensors carries."""
    return {"made_from": json.dumps(of(settings, inputs, device), sort_keys=True)}
