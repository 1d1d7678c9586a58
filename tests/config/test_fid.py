"""Measurements and the choice of a checkpoint."""

import pytest

from diffdistill import config
from diffdistill.errors import UserError


def test_class_measures_follow_the_features_unless_set() -> None:
    assert config.Fid(every=1, images=10, features="classifier").measures_classes
    assert not config.Fid(every=1, images=10).measures_classes
    assert config.Fid(every=1, images=10, class_measures=True).measures_classes


def test_a_measurement_leaves_out_what_does_not_decide_it() -> None:
    one, other = config.Fid(every=1, images=10, devices=3), config.Fid(every=5, images=10)
    assert one.measurement == other.measurement == config.Measurement(images=10)


@pytest.mark.parametrize(
    ("values", "message"),
    [({"every": 1, "images": 1}, "greater than or equal to 2"), ({"every": 0, "images": 9}, "every")],
)
def test_a_covariance_needs_two_images(values: dict[str, int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        config.read(config.Fid, values, "here")


def test_the_classifier_has_a_block_of_its_own() -> None:
    with pytest.raises(UserError, match=r"'classifier' is now 'classifier.protocol, beside fid'"):
        config.read(config.Fid, {"every": 1, "images": 9, "classifier": {}}, "here")
