"""The state of a training and its file, whose layout this module and `state_files` know."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from diffdistill.config import Recipe, checkpoint_name
from diffdistill.config.training import ema_suffix
from diffdistill.diffusion.denoiser import NetworkDenoiser
from diffdistill.diffusion.state_files import HISTORY, HISTORY_KEY, SNAPSHOT
from diffdistill.diffusion.training.optimiser import Optimiser
from diffdistill.errors import UserError
from diffdistill.runtime import tensor_files
from diffdistill.runtime.processes import Processes
from diffdistill.runtime.seeds import derive_seed

DENOISER = "denoiser"
MOMENTS = ("first_moment", "second_moment")
"""Of the gradients; the second is missing for parameters that Muon steps."""


def initialise(build: Callable[[], NetworkDenoiser], seed: int) -> NetworkDenoiser:
    """A new denoiser whose first weights follow from the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed("weights", seed))
        return build()


@dataclass
class State:
    """Everything that training resumes from."""

    denoiser: NetworkDenoiser
    optimiser: Optimiser
    emas: list[dict[str, Tensor]]
    """EMA weights of the network, one set per decay; the first is the primary one."""
    iteration: int = 0
    seconds: float = 0.0
    """Time spent training, over all slices and restarts."""
    snapshots: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    """EMA weights of the current slice by their `checkpoint_name`, on the CPU."""
    history: list[tuple[float, ...]] = field(default_factory=list)
    """Rows of HISTORY, of the current slice."""

    @classmethod
    def start(cls, denoiser: NetworkDenoiser, recipe: Recipe) -> "State":
        """Iteration 0 of a denoiser, whose weights are also those of every EMA."""
        weights = denoiser.network.state_dict()
        emas = [{name: value.clone() for name, value in weights.items()} for _ in recipe.ema_decays]
        return cls(denoiser, Optimiser(denoiser.network, recipe), emas)

    def take_snapshots(self) -> None:
        """Keep the EMA weights of this iteration."""
        for number, weights in enumerate(self.emas):
            copied = {name: value.to("cpu", copy=True) for name, value in weights.items()}
            self.snapshots[checkpoint_name(self.iteration, number)] = copied

    def save(self, path: Path | str, metadata: Mapping[str, str]) -> None:
        """One file, whole or absent."""
        network = self.denoiser.network
        tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
        for number, weights in enumerate(self.emas):
            tensors |= {f"ema{ema_suffix(number)}.{name}": value for name, value in weights.items()}
        for name, parameter in network.named_parameters():
            moments = self.optimiser.moments(parameter)
            tensors |= {f"{moment}.{name}": value for moment, value in zip(MOMENTS, moments, strict=False)}
        for snapshot, weights in self.snapshots.items():
            tensors |= {f"{SNAPSHOT}.{snapshot}.{name}": value for name, value in weights.items()}
        tensors[HISTORY_KEY] = torch.tensor(self.history, dtype=torch.float64).reshape(-1, len(HISTORY))
        own = {
            DENOISER: json.dumps(self.denoiser.describe()),
            "iteration": str(self.iteration),
            "seconds": repr(self.seconds),
        }
        tensor_files.save(Path(path), tensors, {**metadata, **own})

    def bytes_with(self, snapshots: int) -> int:
        """Bytes of the tensors of a saved state that holds the EMA weights of so many iterations."""
        weights = sum(value.nbytes for value in self.denoiser.network.state_dict().values())
        moments = 2 * sum(parameter.nbytes for parameter in self.denoiser.network.parameters())  # at most
        return int(weights * (1 + len(self.emas) * (1 + snapshots)) + moments)

    def load(self, path: Path | str, *, same_slice: bool) -> dict[str, str]:
        """Take over a saved state; a new slice starts with neither snapshots nor history. Returns the metadata.

        Raises UserError if the file is broken or belongs to another network.
        """
        tensors, metadata = tensor_files.load(
            Path(path), lambda name: same_slice or not name.startswith((f"{SNAPSHOT}.", HISTORY_KEY))
        )
        groups: dict[str, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            group, _, rest = name.partition(".")
            groups.setdefault(group, {})[rest] = value
        network = self.denoiser.network
        device = next(network.parameters()).device
        try:
            network.load_state_dict(groups["network"], strict=True)
            for number, weights in enumerate(self.emas):
                saved = groups[f"ema{ema_suffix(number)}"]
                weights.update({name: saved[name].to(device) for name in weights})
            self.iteration, self.seconds = int(metadata["iteration"]), float(metadata["seconds"])
            for name, parameter in network.named_parameters() if self.iteration else ():
                moments = [groups[moment][name] for moment in MOMENTS if name in groups.get(moment, {})]
                self.optimiser.set_moments(parameter, moments, self.iteration)
        except (KeyError, RuntimeError, ValueError) as error:
            raise UserError(
                f"{path}: not a training state of this network ({error}); delete it and run again"
            ) from error
        for name, value in groups.get(SNAPSHOT, {}).items():
            snapshot, _, rest = name.partition(".")
            self.snapshots.setdefault(snapshot, {})[rest] = value
        self.history = [tuple(row) for row in tensors[HISTORY_KEY].tolist()] if HISTORY_KEY in tensors else []
        return metadata

    def broadcast(self, processes: Processes) -> None:
        """Take over the first process's state, apart from snapshots and history, which it alone keeps."""
        counters = torch.tensor([self.iteration, self.seconds], dtype=torch.float64)
        processes.broadcast([counters])
        self.iteration, self.seconds = int(counters[0]), float(counters[1])
        tensors = list(self.denoiser.network.state_dict().values())
        for weights in self.emas:
            tensors += weights.values()
        for parameter in self.denoiser.network.parameters() if self.iteration else ():
            self.optimiser.start_moments(parameter, self.iteration)
            tensors += self.optimiser.moments(parameter)
        processes.broadcast(tensors)


def read_metadata(path: Path | str) -> dict[str, str]:
    """The metadata of a saved state, without reading tensors."""
    return tensor_files.load(Path(path), lambda name: False)[1]
