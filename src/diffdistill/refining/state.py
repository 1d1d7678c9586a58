"""Everything that refining goes on from, in memory and as a file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from diffdistill.classify.convnet import ConvNet
from diffdistill.errors import UserError
from diffdistill.runtime import optimisers, tensor_files


@dataclass
class State:
    values: Tensor
    """What is optimised: float32 (K, n, C, H, W), see `parameters`."""
    optimiser: torch.optim.Adam
    iteration: int = 0
    seconds: float = 0.0
    """Spent so far, over all restarts."""
    network: ConvNet | None = None
    network_momentum: dict[str, Tensor] = field(default_factory=dict)
    best: Tensor | None = None
    """The stored images uint8 (K, n, C, H, W) with the highest validation accuracy so far."""
    history: list[tuple[float, ...]] = field(default_factory=list)
    """(iteration, validation accuracy, seconds so far) of every validation."""

    @classmethod
    def start(cls, values: Tensor, learning_rate: float, betas: tuple[float, float]) -> "State":
        values = values.detach().clone().requires_grad_(True)
        return cls(values, optimisers.Adam([values], lr=learning_rate, betas=betas))

    def save(self, path: Path, metadata: Mapping[str, str]) -> None:
        """One file, whole or absent; its size does not grow but for a row per validation."""
        tensors = {"values": self.values, "history": torch.tensor(self.history, dtype=torch.float64).reshape(-1, 3)}
        moments = self.optimiser.state.get(self.values)
        if moments:
            tensors |= {"first_moment": moments["exp_avg"], "second_moment": moments["exp_avg_sq"]}
        if self.best is not None:
            tensors["best"] = self.best
        if self.network is not None:
            tensors |= {f"network.{name}": value for name, value in self.network.state_dict().items()}
        tensors |= {f"network_momentum.{name}": value for name, value in self.network_momentum.items()}
        numbers = {"iteration": str(self.iteration), "seconds": repr(self.seconds)}
        tensor_files.save(path, tensors, {**metadata, **numbers})

    def load(self, path: Path, network: ConvNet) -> dict[str, str]:
        """Take over a saved state, its network's weights into `network`; the metadata.

        Raises UserError if the file is broken or belongs to another set.
        """
        tensors, metadata = tensor_files.load(path)
        device = self.values.device
        groups: dict[str, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            group, _, rest = name.partition(".")
            groups.setdefault(group, {})[rest] = value.to(device)
        try:
            if groups["values"][""].shape != self.values.shape:
                raise ValueError(f"values are {tuple(groups['values'][''].shape)}, not {tuple(self.values.shape)}")
            self.iteration, self.seconds = int(metadata["iteration"]), float(metadata["seconds"])
            with torch.no_grad():
                self.values.copy_(groups["values"][""])
            if self.iteration:
                self.optimiser.state[self.values] = {
                    "step": torch.tensor(float(self.iteration)),
                    "exp_avg": groups["first_moment"][""],
                    "exp_avg_sq": groups["second_moment"][""],
                }
                network.load_state_dict(groups["network"], strict=True)
                self.network = network
            self.network_momentum = groups.get("network_momentum", {})
            self.best = groups["best"][""].cpu() if "best" in groups else None
            self.history = [tuple(row) for row in groups["history"][""].tolist()]
        except (KeyError, RuntimeError, ValueError) as error:
            raise UserError(f"{path}: not a state of refining this set ({error}); delete it and run again") from error
        return metadata
