"""What each switch of training changes; and that one that is off changes nothing. For every network."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from diffdistill import config
from diffdistill.config.training import SWITCHES
from diffdistill.diffusion import augmentation, loss, training
from diffdistill.diffusion.labels import LabelSpace
from diffdistill.diffusion.loss import Output
from tests.diffusion.models import COUNTS, IMAGES, LABELS, MODELS, RECIPE, denoiser, fresh


def batch(recipe: config.Recipe, iteration: int = 3) -> training.Batch:
    return training.Batch.draw(iteration, 30, (1, 8, 8), recipe, slice(0, recipe.batch_size))


def test_a_switch_changes_no_other_draw() -> None:
    plain = batch(RECIPE)
    on = RECIPE.changed(times="logit_normal", label_dropout=0.3, augment="flip_rotate")
    switched = batch(on)
    for name in ("indices", "noise", "mirrored"):
        assert torch.equal(getattr(plain, name), getattr(switched, name))
    assert torch.equal(switched.t, loss.logit_normal_times(plain.t, 0.0, 1.0))
    assert plain.unlabelled is None and plain.augment is None
    assert switched.augment is not None and switched.augment.shape == (8, 4)
    halves = [training.Batch.draw(3, 30, (1, 8, 8), on, rows) for rows in (slice(0, 3), slice(3, 8))]
    for name in ("unlabelled", "augment", "t"):
        assert torch.equal(torch.cat([getattr(half, name) for half in halves]), getattr(switched, name))
    assert not torch.equal(switched.augment, batch(on, 4).augment)


def test_so_many_images_lose_their_label() -> None:
    recipe = RECIPE.changed(batch_size=20_000, label_dropout=0.1)
    lost = batch(recipe).unlabelled
    assert lost is not None and float(lost.float().mean()) == pytest.approx(0.1, abs=0.007)


@pytest.mark.parametrize("kind", MODELS)
def test_dropped_labels_become_the_null_label(kind: str) -> None:
    recipe = RECIPE.changed(label_dropout=0.5)
    state = fresh(recipe, MODELS[kind], LabelSpace(num_classes=3, null_label=True))
    minimised = training.denoising(recipe, schedule=state.denoiser.schedule, prediction="noise")
    seen: list[Tensor] = []

    def objective(output: Output, x0: Tensor, t: Tensor, noise: Tensor, y: Tensor, iteration: int) -> Tensor:
        seen.append(y)
        return minimised(output, x0, t, noise, y, iteration)

    training.train(state, IMAGES, LABELS, recipe, until=4, objective=objective)
    for iteration, y in enumerate(seen):
        draws = batch(recipe, iteration)
        assert draws.unlabelled is not None
        assert torch.equal(y, torch.where(draws.unlabelled, 3, LABELS[draws.indices]))


@pytest.mark.parametrize(("kind", "width"), [("uvit", 16), ("unet", 32)])
@pytest.mark.parametrize(
    ("space", "augment_dim", "rows"),
    [
        (LabelSpace(num_classes=3), 0, 0),
        (LabelSpace(num_classes=3, null_label=True), 0, 1),
        (LabelSpace(num_classes=3, subclasses=COUNTS), 0, 3),
        (LabelSpace(num_classes=3, subclasses=COUNTS, null_label=True), 0, 4),
        (LabelSpace(num_classes=3), 3, 3),
    ],
)
def test_parameters(kind: str, width: int, space: LabelSpace, augment_dim: int, rows: int) -> None:
    plain, other = denoiser(MODELS[kind]), denoiser(MODELS[kind], space, augment_dim=augment_dim)
    assert other.parameter_count - plain.parameter_count == rows * width


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize(
    "changed",
    [
        {"loss_weight": "min_snr", "times": "logit_normal"},
        {"label_dropout": 0.3},
        {"augment": "flip_crop_scale_rotate", "augment_probability": 0.6},
    ],
)
def test_two_slices_equal_one_long_run(tmp_path: Path, kind: str, changed: dict[str, object]) -> None:
    recipe = RECIPE.changed(**changed)
    space = LabelSpace(num_classes=3, null_label=recipe.label_dropout > 0, subclasses=COUNTS)
    dimension = augmentation.dimension(recipe.families)
    whole, first, second = (fresh(recipe, MODELS[kind], space, augment_dim=dimension) for _ in range(3))
    labels = LABELS + 3 * (torch.arange(30) % 2)
    training.train(whole, IMAGES, labels, recipe, until=10)
    training.train(first, IMAGES, labels, recipe, until=4)
    first.save(tmp_path / "4.safetensors", {})
    second.load(tmp_path / "4.safetensors", same_slice=False)
    training.train(second, IMAGES, labels, recipe, until=10)
    assert all(torch.equal(whole.emas[0][name], value) for name, value in second.emas[0].items())
    plain = fresh(RECIPE, MODELS[kind], LabelSpace(num_classes=3, subclasses=COUNTS))
    training.train(plain, IMAGES, labels, RECIPE, until=10)
    name = "norm.weight" if kind == "uvit" else "out_norm.weight"
    assert not torch.equal(plain.emas[0][name], whole.emas[0][name])


def test_what_is_off_in_the_config_decides_nothing() -> None:
    block = config.Train(iterations=1, slice_iterations=1, batch_size=8)
    assert not SWITCHES & block.fingerprint().keys()
    for name, value in {"subclasses": 2, "loss_weight": "min_snr", "label_dropout": 0.1, "augment": "flip"}.items():
        assert block.changed(**{name: value}).fingerprint()[name] == value
