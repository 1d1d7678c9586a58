"""Muon steps the matrices of the blocks along orthogonal directions, and AdamW everything else as it does alone."""

import copy

import pytest
import torch
from torch import nn

from diffdistill.diffusion.training.optimiser import Optimiser
from tests.diffusion.models import RECIPE, UNET, busy


def changes(optimiser: str, steps: int = 1) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """How each weight was changed by equal gradients, and those gradients."""
    network = busy().network
    before = copy.deepcopy(network.state_dict())
    stepping = Optimiser(network, RECIPE.changed(optimiser=optimiser, weight_decay=0))
    draws = torch.Generator().manual_seed(1)
    gradients = {name: torch.randn(value.shape, generator=draws) for name, value in network.named_parameters()}
    for _ in range(steps):
        for name, parameter in network.named_parameters():
            parameter.grad = gradients[name].clone()
        stepping.step(0.1)
    return {name: value - before[name] for name, value in network.state_dict().items()}, gradients


def test_matrices_step_along_orthogonal_directions_of_the_size_of_adamws_steps() -> None:
    muon, gradients = changes("muon")
    matrices = [name for name in muon if ("blocks" in name or "mid_block" in name) and muon[name].ndim == 2]
    assert len(matrices) == 13  # three blocks of four, and one merges a skip connection
    for name in matrices:
        rows, columns = muon[name].shape
        found = torch.linalg.svdvals(muon[name]) / (0.1 * 0.2 * max(rows, columns) ** 0.5)
        assert float(found.min()) > 0.6 and float(found.max()) < 1.3, name  # five Newton-Schulz steps: about 1
        assert float((muon[name] * gradients[name]).sum()) < 0
        assert 0.1 < float(muon[name].square().mean().sqrt()) / 0.1 < 0.3  # AdamW's typical root mean square is 0.2


def test_the_other_weights_step_as_with_adamw_alone() -> None:
    muon, adamw = changes("muon", 3)[0], changes("adamw", 3)[0]
    others = [name for name in muon if not ("blocks" in name or "mid_block" in name) or muon[name].ndim != 2]
    assert others and all(torch.equal(muon[name], adamw[name]) for name in others)
    assert not any(torch.equal(muon[name], adamw[name]) for name in muon.keys() - set(others))


def test_moments_are_those_of_the_optimiser_of_a_weight() -> None:
    network = busy().network
    stepping = Optimiser(network, RECIPE.changed(optimiser="muon"))
    of_names = dict(network.named_parameters())
    matrix, other = of_names["mid_block.attn.qkv.weight"], of_names["pos_embed"]
    assert stepping.moments(matrix) == [] == stepping.moments(other)
    stepping.start_moments(matrix, 3)
    stepping.set_moments(other, [torch.ones_like(other), torch.zeros_like(other)], 3)
    stepping.start_moments(other, 3)  # changes none that exist
    assert [len(stepping.moments(one)) for one in (matrix, other)] == [1, 2]
    assert bool(stepping.moments(other)[0].all())
    with pytest.raises(ValueError, match="argument"):
        stepping.set_moments(matrix, [torch.zeros_like(matrix)] * 2, 3)


def test_a_network_without_hidden_matrices_is_refused() -> None:
    network: nn.Module = busy(UNET).network
    with pytest.raises(ValueError, match="this network has none; use adamw"):
        Optimiser(network, RECIPE.changed(optimiser="muon"))  # type: ignore[arg-type]
