"""A protocol has one length, known augmentations and a sound normalisation."""

from typing import Any

import pytest

from diffdistill import config
from diffdistill.errors import UserError


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "either epochs or steps"),
        ({"epochs": 1, "steps": 1}, "either epochs or steps"),
        ({"steps": 1, "mean": [0.5]}, "both mean and std"),
        ({"steps": 1, "mean": [0.5, 0.5], "std": [1, 1]}, "one number each, or one per channel"),
        ({"steps": 1, "mean": [0.5], "std": [0]}, "std above 0"),
        ({"steps": 1, "mean": ["nan"], "std": [1]}, "must be finite"),
        ({"steps": 1, "augment": "flip_blur"}, "unknown family 'blur'"),
        ({"steps": 1, "momentum": 1}, "momentum"),
    ],
)
def test_protocols_that_cannot_be(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        config.read(config.Protocol, values, "here")


def test_seeds_differ() -> None:
    with pytest.raises(UserError, match="duplicate values in seeds"):
        config.read(config.Evaluate, {"seeds": [1, 1], "protocol": {"steps": 1}}, "here")


def test_no_augmentation_is_an_empty_text() -> None:
    assert config.Protocol(steps=1, augment="").augment == ""
