"""What changes the weights: AdamW, or Muon for the network's hidden matrices and AdamW for everything else."""

import torch
from torch import Tensor, nn

from diffdistill.config import Recipe
from diffdistill.diffusion.networks.base import Network
from diffdistill.runtime import optimisers

ADAMW, MUON = ("exp_avg", "exp_avg_sq"), ("momentum_buffer",)
"""Names that torch gives the moments of a parameter: the first, and for AdamW the second."""
Part = tuple[torch.optim.Optimizer, tuple[str, ...]]
"""What steps a parameter, and the names of its moments."""


class Optimiser:
    """Of a network and a recipe.

    Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon) steps along the orthogonalised mean of a matrix's
    gradients. Steps are scaled to the size of AdamW's (Liu et al. 2025, arXiv 2502.16982, section 2.2), so that one
    learning rate and one weight decay serve both. Raises ValueError if the recipe asks for Muon and the network has no
    hidden matrices.
    """

    def __init__(self, network: Network, recipe: Recipe) -> None:
        hidden = list(network.hidden_matrices()) if recipe.optimiser == "muon" else []
        if recipe.optimiser == "muon" and not hidden:
            raise ValueError("train.optimiser 'muon' steps along hidden matrices, and this network has none; use adamw")
        of_muon = set(hidden)  # parameters are compared by identity
        rest = [parameter for parameter in network.parameters() if parameter not in of_muon]
        rate, decay = recipe.learning_rate, recipe.weight_decay
        # fused: one kernel for all tensors, a fifth of the time on a CPU too
        adamw = optimisers.AdamW(rest, lr=rate, betas=recipe.betas, weight_decay=decay, fused=True)
        self._parts: list[torch.optim.Optimizer] = [adamw]
        self._part_of: dict[nn.Parameter, Part] = dict.fromkeys(rest, (adamw, ADAMW))
        if hidden:
            muon = optimisers.Muon(hidden, lr=rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw")
            self._parts.append(muon)
            self._part_of |= dict.fromkeys(hidden, (muon, MUON))

    def step(self, rate: float) -> None:
        """One step with this learning rate along the gradients."""
        for part in self._parts:
            for group in part.param_groups:
                group["lr"] = rate
            part.step()

    def moments(self, parameter: nn.Parameter) -> list[Tensor]:
        """Of the parameter's gradients: the first, and for AdamW the second; none before the first step."""
        part, names = self._part_of[parameter]
        found = part.state.get(parameter)
        return [found[name] for name in names] if found else []

    def set_moments(self, parameter: nn.Parameter, moments: list[Tensor], iteration: int) -> None:
        """Take over moments as `moments` gives them. Raises ValueError if their number is another."""
        part, names = self._part_of[parameter]
        values = dict(zip(names, (value.to(parameter.device) for value in moments), strict=True))
        # AdamW counts its steps per parameter, Muon does not
        counter = {} if names is MUON else {"step": torch.tensor(float(iteration), device=parameter.device)}
        part.state[parameter] = {**counter, **values}

    def start_moments(self, parameter: nn.Parameter, iteration: int) -> None:
        """Moments of zeros, where another process's are going to be written to; none that exist are changed."""
        if not self.moments(parameter):
            zeros = [torch.zeros_like(parameter) for _ in self._part_of[parameter][1]]
            self.set_moments(parameter, zeros, iteration)
