"""Start weights: another network's state dict, fitted to ours with every difference named.

A network without classes, or with others, gives all but what depends on the label, and one that knew no augmentation
all but the embedding of it; nothing else may differ. The number of attention heads shows in no tensor: it must be set
as in the network that the weights come from.
"""

import json
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from diffdistill.diffusion.networks.base import AUGMENT, LABEL, Network
from diffdistill.errors import UserError
from diffdistill.runtime import tensor_files

WRAPPERS = ("module.", "_orig_mod.")
"""What torch's wrappers for several GPUs and for compiling put before every name."""


@dataclass(frozen=True)
class Fitted:
    """What became of the start weights, by tensor name."""

    stripped: str
    """The prefix that all names had."""
    taken: list[str]
    dropped: list[str]
    made: list[str]
    """Newly made: as the network was initialised."""

    def __str__(self) -> str:
        parts = [f"{len(self.taken)} tensors taken"]
        parts += [f"prefix '{self.stripped}' stripped"] if self.stripped else []
        for word, names in (("dropped", self.dropped), ("newly made", self.made)):
            parts.append(f"{len(names)} {word}{': ' if names else ''}{', '.join(names)}")
        return "; ".join(parts)


def load_into(network: Network, path: Path | str, classes: Sequence[str]) -> Fitted:
    """Put the weights of a file into the network, which must be newly initialised; all of them or none.

    classes: names of the network's, in order. Raises UserError naming the first tensors that are missing, superfluous,
    of another shape, or not finite.
    """
    path = Path(path)
    tensors, metadata = read(path)
    found, stripped = _without_wrapper(tensors, path)
    ours = network.state_dict()
    dropped = []
    if LABEL in ours and LABEL in found:
        # the workflow's own files say the names of their classes; others are known by their number alone
        other_names = "classes" in metadata and json.loads(metadata["classes"]) != list(classes)
        if other_names or found[LABEL].shape[:1] != ours[LABEL].shape[:1]:
            of_labels = [name for name in network.LABEL_KEYS if name in ours and name in found]
            dropped = [f"{name} {tuple(found.pop(name).shape)}" for name in of_labels]
    made = [] if dropped else network.adapt_start_weights(found, ours)
    taken = list(found)
    for name in (*network.LABEL_KEYS, AUGMENT):
        if name in ours and name not in found:
            found[name] = ours[name]
            made.append(f"{name} {tuple(ours[name].shape)}")
    _require_equal_names_and_shapes(found, ours, path)
    network.load_state_dict(found, strict=True)
    return Fitted(stripped, taken, dropped, made)


def read(path: Path | str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors by name, on the CPU, of a PyTorch state dict or a .safetensors file, and the latter's metadata.

    No code in the file is run.

    Raises UserError if the file is missing, broken, or holds anything but tensors by name.
    """
    path = Path(path)
    if path.suffix == ".safetensors":
        return tensor_files.load(path)
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path}: holds more than tensors, or is no PyTorch file; nothing in it was run: "
            "save the network's state_dict() alone"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise UserError(f"{path}: not a whole PyTorch file ({_line(error)}); get it again") from error
    if not isinstance(content, Mapping) or not content:
        raise UserError(f"{path}: holds a {type(content).__name__}, not a state dict; save state_dict() alone")
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise UserError(
                f"{path}: entry '{name}' is a {type(value).__name__}, not a tensor; save the network's state_dict() "
                "alone, without optimiser or settings"
            )
    return dict(content), {}


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _without_wrapper(found: dict[str, Tensor], path: Path) -> tuple[dict[str, Tensor], str]:
    """The tensors without the prefix that all of them have, and that prefix. Raises UserError if only some have it."""
    stripped = ""
    while wrapper := next((prefix for prefix in WRAPPERS if any(name.startswith(prefix) for name in found)), ""):
        bare = [name for name in found if not name.startswith(wrapper)]
        if bare:
            raise UserError(
                f"{path}: some names begin with '{wrapper}' and others, such as {bare[0]}, do not; "
                "save the state_dict() of one network"
            )
        found = {name.removeprefix(wrapper): value for name, value in found.items()}
        stripped += wrapper
    return found, stripped


def _require_equal_names_and_shapes(found: Mapping[str, Tensor], ours: Mapping[str, Tensor], path: Path) -> None:
    common = [name for name in ours if name in found]
    problems = {
        "missing": [name for name in ours if name not in found],
        "superfluous": [name for name in found if name not in ours],
        "of another shape": [
            f"{name} {tuple(found[name].shape)} instead of {tuple(ours[name].shape)}"
            for name in common
            if found[name].shape != ours[name].shape
        ],
        "not finite": [name for name in common if not _is_finite(found[name])],
    }
    listed = [
        f"{len(names)} {what}: {', '.join(names[:3])}{', …' if len(names) > 3 else ''}"
        for what, names in problems.items()
        if names
    ]
    if listed:
        raise UserError(f"{path} does not fit the network, no weights loaded ({'; '.join(listed)})")


def _is_finite(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and bool(torch.isfinite(tensor).all())
