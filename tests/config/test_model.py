"""The model block: its kind, and mistakes in it."""

from typing import Any

import pytest

from diffdistill import config
from diffdistill.config import Block, Model
from diffdistill.errors import UserError

VIT = {"patch_size": 4, "embed_dim": 16, "depth": 2, "num_heads": 2}


class Holder(Block):
    model: Model


def read(values: Any) -> config.UViTModel | config.UNetModel:
    return config.read(Holder, {"model": values}, "config.yaml").model


def test_without_a_kind_it_is_a_uvit() -> None:
    assert isinstance(read(VIT), config.UViTModel) and read(VIT) == read({"kind": "uvit", **VIT})
    assert read(VIT).prediction == "noise"
    assert read({"kind": "unet"}) == config.UNetModel(kind="unet", channels=32, multipliers=(1, 2, 2))
    assert config.parse_model(read(VIT).model_dump(mode="json")) == read(VIT)
    assert read(read(VIT)) == read(VIT)


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"kind": "dit"}, ["model: unknown kind 'dit'", "uvit, unet"]),
        ({"kind": ["unet"]}, ["unknown kind ['unet']"]),
        ({"kind": "unet", "chanels": 3}, ["model: unknown key 'chanels'; did you mean 'channels'?"]),
        ({**VIT, "channels": 3}, ["unknown key 'channels'"]),
        ({**VIT, "depth": 3}, ["model: depth 3 is odd"]),
        ({**VIT, "depth": "x"}, ["config.yaml: model.depth: 'x' is not an integer"]),
        ({**VIT, "prediction": "eps"}, ["model.prediction", "'noise', 'x0' or 'v'"]),
        ({"patch_size": 4}, ["model.embed_dim is missing"]),
        ({"kind": "unet", "multipliers": []}, ["model.multipliers"]),
        (3, ["model: expected a block", "found 3"]),
    ],
)
def test_mistakes_are_named_by_plain_keys(values: Any, parts: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        read(values)
    for part in parts:
        assert part in str(caught.value)
