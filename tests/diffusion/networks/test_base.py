"""What all networks have in common: the registry, the embedding of time, and the layers that are compiled."""

import math

import pytest
import torch

from diffdistill import config
from diffdistill.diffusion.networks import NETWORKS, Sizes, build
from diffdistill.diffusion.networks.base import AUGMENT, LABEL, timestep_embedding
from tests.diffusion.models import MODELS


def test_every_kind_of_the_config_has_its_network() -> None:
    assert NETWORKS.keys() == config.model.KINDS.keys() == MODELS.keys()


@pytest.mark.parametrize("kind", MODELS)
def test_embeddings_have_one_name_in_all_networks(kind: str) -> None:
    whole = build(MODELS[kind], Sizes(image_shape=(1, 8, 8), labels=4, augment_dim=3)).state_dict()
    assert whole[LABEL].shape[0] == 4 and whole[AUGMENT].shape[1] == 3
    unconditional = build(MODELS[kind], Sizes(image_shape=(1, 8, 8), labels=None))
    assert whole.keys() - unconditional.state_dict().keys() == {LABEL, AUGMENT}
    x, t = torch.zeros(2, 1, 8, 8), torch.full((2,), 0.5)
    assert unconditional(x, t).shape == x.shape
    with pytest.raises(ValueError, match="labels must be given to a class-conditional network, and to no other"):
        unconditional(x, t, torch.zeros(2, dtype=torch.int64))


@pytest.mark.parametrize("kind", MODELS)
def test_compiled_layers_hold_nearly_all_parameters(kind: str) -> None:
    network = build(MODELS[kind].changed(), Sizes(image_shape=(1, 8, 8), labels=4))
    layers = network.compiled_layers()
    held = {id(parameter) for layer in layers for parameter in layer.parameters()}
    assert sum(p.numel() for p in network.parameters() if id(p) in held) > 0.7 * sum(
        p.numel() for p in network.parameters()
    )


def test_the_embedding_of_time() -> None:
    found = timestep_embedding(torch.tensor([0.0, 3.0], dtype=torch.float64), 5)
    angle = 3 * 10000 ** (-1 / 2)
    assert found[0].tolist() == [1, 1, 0, 0, 0]
    assert found[1].tolist() == pytest.approx([math.cos(3), math.cos(angle), math.sin(3), math.sin(angle), 0])
    half = timestep_embedding(torch.tensor([3.0], dtype=torch.bfloat16), 4)
    assert half.dtype == torch.float32
