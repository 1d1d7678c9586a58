"""A weights file holds all that builds its denoiser again, and is refused where it is not whole."""

import json
from pathlib import Path

import pytest
import torch

from diffdistill import config
from diffdistill.diffusion import checkpoints
from diffdistill.diffusion.labels import LabelSpace
from diffdistill.errors import UserError
from diffdistill.runtime import tensor_files
from tests.diffusion.models import COUNTS, MODELS, UVIT, busy

METADATA = {"classes": json.dumps(["a", "b", "c"]), "config": "{}", "step": "9"}


def saved(path: Path, model: config.UViTModel | config.UNetModel = UVIT, step: int = 9) -> str:
    checkpoints.save_denoiser(str(path), busy(model), METADATA | {"step": str(step)})
    return str(path)


@pytest.mark.parametrize("prediction", ["noise", "v"])
@pytest.mark.parametrize("kind", MODELS)
def test_a_file_gives_its_denoiser_back(tmp_path: Path, kind: str, prediction: config.Prediction) -> None:
    space = LabelSpace(num_classes=3, subclasses=COUNTS, null_label=True)
    denoiser = busy(MODELS[kind].changed(prediction=prediction), space, augment_dim=2)
    checkpoints.save_denoiser(tmp_path / "9.safetensors", denoiser, METADATA)
    found = checkpoints.load(str(tmp_path / "9.safetensors"))
    assert found.denoiser.describe() == denoiser.describe() and found.denoiser.labels == space
    assert (found.step, found.classes, found.tuned, found.denoiser.training) == (9, ["a", "b", "c"], False, False)
    x, t, y = torch.randn(2, 1, 8, 8), torch.full((2,), 0.3), torch.tensor([0, 6])
    with torch.no_grad():
        assert torch.equal(found.denoiser.predict_noise(x, t, y), denoiser.predict_noise(x, t, y))


def test_files_that_are_no_checkpoints(tmp_path: Path) -> None:
    path = tmp_path / "9.safetensors"
    tensors, metadata = tensor_files.load(Path(saved(path)))
    tensor_files.save(path, tensors, {"step": "9"})
    with pytest.raises(UserError, match="describes no denoiser"):
        checkpoints.load(path)
    other = json.loads(metadata["denoiser"]) | {"model": {"kind": "dit"}}
    tensor_files.save(path, tensors, metadata | {"denoiser": json.dumps(other)})
    with pytest.raises(UserError, match=r"describes no denoiser of this version .*dit"):
        checkpoints.load(path)
    tensor_files.save(path, tensors | {"norm.weight": torch.full((16,), float("nan"))}, metadata)
    with pytest.raises(UserError, match=r"norm\.weight is not finite"):
        checkpoints.load(path)
    tensor_files.save(path, {name: tensors[name] for name in list(tensors)[1:]}, metadata)
    with pytest.raises(UserError, match="weights do not fit the network"):
        checkpoints.load(path)


def test_a_guide_is_an_earlier_checkpoint_of_the_same_run(tmp_path: Path) -> None:
    guided = checkpoints.load(saved(tmp_path / "9.safetensors"))
    earlier, deeper = saved(tmp_path / "5.safetensors", step=5), saved(tmp_path / "4.safetensors", MODELS["unet"], 4)
    assert checkpoints.load_guide([earlier, deeper], 5, guided, "cpu").step == 5
    with pytest.raises(UserError, match="no weights of iteration 7"):
        checkpoints.load_guide([earlier], 7, guided, "cpu")
    with pytest.raises(UserError, match="not of the run of"):
        checkpoints.load_guide([deeper], 4, guided, "cpu")
    with pytest.raises(UserError, match="iteration 9, which is to guide, is not before the iteration 5"):
        checkpoints.load_guide([guided.path], 9, checkpoints.load(earlier), "cpu")
