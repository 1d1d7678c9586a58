"""What follows from the blocks of an experiment."""

import copy
from typing import Any

import pytest

from diffdistill import config
from diffdistill.errors import UserError
from tests.shipped import VALUES


def digits(**changes: Any) -> config.Experiment:
    given = copy.deepcopy(VALUES["experiments"]["digits"])
    for name, values in changes.items():
        given[name] = {**given[name], **values} if isinstance(given.get(name), dict) else values
    return config.read(config.Experiment, given, "digits")


@pytest.mark.parametrize(
    ("refine", "generates", "samples"),
    [
        (None, True, True),
        ({"start": "generated"}, True, True),
        ({"start": "real"}, False, False),
        ({"start": "noise"}, False, False),
        ({"parametrisation": "latent", "start": "noise", "solver": {"nfe": 2}}, True, False),
    ],
)
def test_what_refining_needs_of_a_generator(refine: Any, generates: bool, samples: bool) -> None:
    one = digits(refine=refine)
    assert (one.generates, one.trains, one.samples) == (generates, generates, samples)


def test_weights_are_named_by_iteration_and_decay() -> None:
    one = digits(train={"ema_decays": [0.9, 0.99]})
    assert [ema.name for ema in one.emas()][:3] == ["1000", "1000-ema1", "2000"]
    assert one.ema("2000-ema1").ema_decay == 0.99
    with pytest.raises(UserError, match="no weights '5' are kept; kept: 1000, 1000-ema1"):
        one.ema("5")


def test_muon_needs_a_network_with_hidden_matrices() -> None:
    assert digits(train={"optimiser": "muon"}).train is not None
    unet = {"kind": "unet", "patch_size": None, "embed_dim": None, "depth": None, "channels": 16}
    with pytest.raises(UserError, match="'muon' has nothing to step in a network of kind 'unet'"):
        digits(train={"optimiser": "muon"}, model=unet)


def test_a_switch_of_the_network_at_its_default_is_no_part_of_what_states_are_compared_by() -> None:
    plain, adaptive = digits().model, digits(model={"conditioning": "adaptive"}).model
    assert plain is not None and adaptive is not None
    assert "conditioning" not in plain.fingerprint() and adaptive.fingerprint()["conditioning"] == "adaptive"
    assert plain.fingerprint()["prediction"] == "noise"
