"""The blocks of training and tuning: one recipe, names of checkpoints, and mistakes."""

from typing import Any

import pytest

from diffdistill.config import Recipe, Start, Train, Tune, checkpoint_name, split_checkpoint_name
from diffdistill.config.training import RUNTIME_KEYS, ema_suffix
from diffdistill.errors import UserError

PLAIN: dict[str, Any] = {"iterations": 10, "batch_size": 4, "slice_iterations": 10}


def test_training_is_its_recipe() -> None:
    assert isinstance(Train(**PLAIN), Recipe)


def test_tuning_makes_a_recipe() -> None:
    block = Tune(iterations=7, batch_size=3, ema_decay=0.5, decay="linear", seed=9)
    recipe = block.recipe(flip=False)
    assert (recipe.iterations, recipe.batch_size, recipe.ema_decays, recipe.decay, recipe.seed, recipe.flip) == (
        7, 3, (0.5,), "linear", 9, False,
    )  # fmt: skip
    assert (recipe.learning_rate, recipe.weight_decay, recipe.betas, recipe.precision) == (
        1e-4,
        0,
        (0.9, 0.99),
        "float32",
    )
    assert recipe.label_dropout == 0 and recipe.augment == "" and recipe.loss_weight == "none"


@pytest.mark.parametrize("block", [Train(**PLAIN), Tune(iterations=10, batch_size=4)])
def test_how_a_job_runs_is_not_part_of_the_fingerprint(block: Train | Tune) -> None:
    assert not RUNTIME_KEYS & block.fingerprint().keys()
    assert block.fingerprint()["seed"] == 0
    assert block.changed(save_seconds=5, compile=False).fingerprint() == block.fingerprint()


def test_names_of_checkpoints() -> None:
    assert [checkpoint_name(100, ema) for ema in range(3)] == ["100", "100-ema1", "100-ema2"]
    assert [ema_suffix(ema) for ema in range(3)] == ["", "-ema1", "-ema2"]
    assert [split_checkpoint_name(name) for name in ("100", "100-ema2")] == [(100, 0), (100, 2)]
    for name in ("100-ema0", "x", "100-ema", "0100", "100-emax"):
        with pytest.raises(ValueError, match=r"checkpoint|invalid literal"):
            split_checkpoint_name(name)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"ema_decays": []}, "at least 1 item"),
        ({"ema_decays": [0.9, 0.5, 0.9]}, r"duplicate values in ema_decays: \[0\.9, 0\.5, 0\.9\]"),
        ({"ema_decay": 0.9}, "'ema_decay' is now 'ema_decays'"),
        ({"further_ema_decays": [0.9]}, "'further_ema_decays' is now 'ema_decays'"),
        ({"augment": "flip_jump"}, "unknown family 'jump' in augment"),
        ({"warmup_iterations": 10}, "warmup_iterations 10 must be below iterations 10"),
        ({"devices": 5}, "devices 5 cannot share a batch of 4"),
        ({"devices": 3, "devices_per_node": 2}, "devices 3 do not fill nodes of devices_per_node 2"),
        ({"subclasses": 2, "start": {"path": "a.pth"}}, "subclasses and start cannot be combined"),
        ({"learning_rate": 0}, "greater than 0"),
    ],
)
def test_mistakes(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Train.model_validate(PLAIN | values)


@pytest.mark.parametrize(
    ("devices", "per_node", "nodes", "on_node"),
    [(4, None, 1, 4), (4, 2, 2, 2), (2, 2, 1, 2), (1, 2, 1, 1), (3, 1, 3, 1)],
)
def test_devices_fill_nodes(devices: int, per_node: int | None, nodes: int, on_node: int) -> None:
    block = Train(**PLAIN, devices=devices, devices_per_node=per_node)
    assert (block.nodes, block.devices_on_node, block.measuring(None), block.measuring(1)) == (
        nodes,
        on_node,
        on_node,
        1,
    )


def test_a_measurement_takes_one_node() -> None:
    assert Train(**PLAIN).measuring(8) == 8
    with pytest.raises(UserError, match=r"fid\.devices 8: a measurement takes one node.*devices_per_node is 2"):
        Train(**PLAIN, devices=4, devices_per_node=2).measuring(8)


def test_halvings_are_stages_now() -> None:
    with pytest.raises(ValueError, match="'halvings' is now 'stages'"):
        Tune.model_validate({"iterations": 1, "batch_size": 1, "halvings": 8})


def test_where_start_weights_lie() -> None:
    assert Train(**PLAIN).start_file("x") is None
    assert Train(**PLAIN, start=Start(path="a.pth")).start_file("x") == "a.pth"
