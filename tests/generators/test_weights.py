"""A denoiser trained elsewhere generates under the real data's class numbers, or is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from diffdistill import config
from diffdistill.config.generator import WeightsGenerator
from diffdistill.data.sets import RealSet
from diffdistill.diffusion import checkpoints
from diffdistill.diffusion.labels import LabelSpace
from diffdistill.errors import UserError
from diffdistill.generators import weights
from diffdistill.generators.diffusion import DiffusionGenerator
from tests.diffusion.models import UVIT, busy

REAL = RealSet(["a", "b", "c"], (1, 8, 8))
SAMPLE = config.Sample(images=4, solver=config.Solver(nfe=2), seed=3)
CPU = torch.device("cpu")
ORDER = [2, 0, 1]
"""The file's number of a, b and c."""


def load(path: Path, real: RealSet = REAL, sample: config.Sample = SAMPLE, **keys: Any) -> weights.Renumbered:
    block = WeightsGenerator.model_validate({"kind": "weights", "path": str(path), **keys})
    return weights.load(block, real, sample, device=CPU)[0]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.safetensors"
    checkpoints.save_denoiser(path, busy(), {"classes": json.dumps(["b", "c", "a"]), "step": "5"})
    return path


def test_a_checkpoint_of_this_workflow_by_names(own: Path) -> None:
    made, labels = load(own), torch.tensor([0, 1, 2, 0])
    plain = DiffusionGenerator(busy(), SAMPLE.solver, seed=3)
    assert torch.equal(made.generate(2, labels), plain.generate(2, torch.tensor(ORDER)[labels]))
    described = made.describe(1)
    assert described["kind"] == "weights" and described["bytes"] == own.stat().st_size and described["nfe"] == 2
    assert json.dumps(described) and made.num_classes == 3 and made.image_shape == (1, 8, 8)


@pytest.mark.parametrize("null_label", [False, True])
def test_a_state_dict_alone_needs_model_and_order(null_label: bool, tmp_path: Path) -> None:
    denoiser, path = busy(labels=LabelSpace(num_classes=3, null_label=null_label)), tmp_path / "nnet_ema.pth"
    torch.save(denoiser.network.state_dict(), path)
    for keys, said in (
        ({}, "does not say its network"),
        ({"model": UVIT}, "order is not known"),
        ({"model": UVIT.changed(depth=4), "classes": "as_source"}, "does not fit the network"),
    ):
        with pytest.raises(UserError, match=said):
            load(path, **keys)
    made, labels = load(path, model=UVIT, classes=["b", "c", "a"]), torch.tensor([0, 1, 2])
    plain = DiffusionGenerator(denoiser, SAMPLE.solver, seed=3)
    assert torch.equal(made.generate(0, labels), plain.generate(0, torch.tensor(ORDER)))
    guided = SAMPLE.changed(guidance={"weight": 1.5})
    if null_label:
        assert load(path, sample=guided, model=UVIT, classes="as_source").generate(0, labels).shape == (3, 1, 8, 8)
    else:
        with pytest.raises(UserError, match="has no null label"):
            load(path, sample=guided, model=UVIT, classes="as_source")


def test_the_published_codes_weights(oracles: Path, tmp_path: Path) -> None:
    given = load_file(oracles / "uvit_cond.safetensors")
    state = {name.removeprefix("state."): tensor for name, tensor in given.items() if name.startswith("state.")}
    torch.save(state, tmp_path / "nnet.pth")
    model = config.UViTModel(patch_size=2, embed_dim=32, depth=4, num_heads=4)
    real = RealSet([str(number) for number in range(10)], (3, 8, 8))
    made = load(tmp_path / "nnet.pth", real, model=model)
    assert made.generate(0, torch.arange(10)).shape == (10, 3, 8, 8)


@pytest.mark.parametrize(
    ("real", "said"),
    [
        (RealSet(["a", "b", "c"], (3, 8, 8)), "makes images of"),
        (RealSet(["a", "b"], (1, 8, 8)), "knows 3 classes, the real data has 2"),
        (RealSet(["a", "b", "d"], (1, 8, 8)), "'c' is no class of the real data"),
    ],
)
def test_weights_for_other_data(real: RealSet, said: str, own: Path) -> None:
    with pytest.raises(UserError, match=said):
        load(own, real)


def test_sampling_that_the_weights_cannot_do(own: Path) -> None:
    for change, said in (
        ({"guidance": {"weight": 2.0, "from_step": 3}}, "no weights of an earlier iteration"),
        ({"solver": {"algorithm": "consistency", "nfe": 1}}, "not tuned here"),
    ):
        with pytest.raises(UserError, match=said):
            load(own, sample=SAMPLE.changed(**change))
