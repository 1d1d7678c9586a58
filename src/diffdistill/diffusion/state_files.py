"""What is read of the file of a training's state without torch: its history, and the EMA weights that it keeps."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from diffdistill.errors import UserError
from diffdistill.runtime import tensor_bytes

HISTORY = ("iteration", "loss", "learning_rate", "ema_decay", "images_per_second")
"""Columns of the history."""
SNAPSHOT, HISTORY_KEY = "snapshot", "history"
"""Prefix of the names of kept EMA weights, and the name of the history."""


def read_history(path: Path | str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Rows of HISTORY, float64 (N, 5). Raises UserError if the file is no saved state."""
    tensors, _ = tensor_bytes.read(path, lambda name: name == HISTORY_KEY)
    if HISTORY_KEY not in tensors or tensors[HISTORY_KEY].dtype != "F64":
        raise UserError(f"{path}: not a training state, it has no history; delete it and run again")
    return np.frombuffer(tensors[HISTORY_KEY].data, "<f8").reshape(-1, len(HISTORY))


def write_weights(path: Path | str, state: Path | str, name: str, metadata: Mapping[str, str]) -> None:
    """A weights file of the EMA weights that a state keeps under their `checkpoint_name`, with its metadata and more.

    Raises UserError if the state does not hold them.
    """
    prefix = f"{SNAPSHOT}.{name}."
    tensors, own = tensor_bytes.read(state, lambda key: key.startswith(prefix))
    if not tensors:
        raise UserError(f"{state}: no EMA weights {name} in it; the slice that passes that iteration has them")
    tensor_bytes.write(path, {key.removeprefix(prefix): one for key, one in tensors.items()}, {**own, **metadata})
