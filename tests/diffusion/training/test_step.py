"""The inputs of a step: bytes or floats, mirrored or not."""

from pathlib import Path

import torch

from diffdistill.data.image_files import from_bytes
from diffdistill.diffusion import training
from diffdistill.runtime import tensor_files
from tests.diffusion.models import LABELS, RECIPE, fresh, same


def tensors(state: training.State, path: Path) -> dict[str, torch.Tensor]:
    state.save(path, {})
    return {name: value for name, value in tensor_files.load(path)[0].items() if name[:4] not in ("hist", "snap")}


def test_flipping_is_left_to_right(tmp_path: Path) -> None:
    of_rows = torch.linspace(-1, 1, 30 * 8).reshape(30, 1, 8, 1).expand(-1, -1, -1, 8)  # their own mirror images
    states = []
    for images in (of_rows, of_rows.transpose(2, 3)):
        for flip in (True, False):
            recipe = RECIPE.changed(flip=flip)
            states.append(fresh(recipe))
            training.train(states[-1], images.contiguous(), LABELS, recipe, until=3)
    rows, unflipped_rows, columns, unflipped_columns = (tensors(state, tmp_path / "x") for state in states)
    assert same(rows, unflipped_rows) and not same(columns, unflipped_columns)


def test_bytes_train_as_their_floats() -> None:
    images = torch.randint(0, 256, (30, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    one, other = fresh(), fresh()
    training.train(one, images, LABELS, RECIPE, until=3)
    training.train(other, from_bytes(images), LABELS, RECIPE, until=3)
    assert same(one.emas[0], other.emas[0])
