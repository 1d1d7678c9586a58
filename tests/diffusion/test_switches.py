"""What each switch of training changes, against its formula; and that one that is off changes nothing."""

import math
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from diffdistill import config
from diffdistill.config.training import SWITCHES
from diffdistill.diffusion import augmentation, loss, sampling, subclasses, training, weights
from diffdistill.diffusion.schedule import VPSchedule
from diffdistill.errors import UserError
from diffdistill.runtime import tensor_files
from tests.diffusion.test_training import IMAGES, LABELS, RECIPE

SCHEDULE = VPSchedule()
SHAPE = weights.Shape(8, 1, 3, 4, 16, 2, 2, 4.0)


def fresh(shape: weights.Shape, recipe: training.Recipe) -> training.State:
    return training.State.start(training.initialise(shape.build, recipe.seed), recipe)


def drawn(recipe: training.Recipe, iteration: int = 3) -> training._Draws:
    return training._Draws.of(iteration, 30, (1, 8, 8), recipe, slice(0, recipe.batch_size))


def test_min_snr_weight() -> None:
    t = SCHEDULE.time_of(0.5 * torch.tensor([1e6, 50.0, 5.0, 1.0, 1e-4], dtype=torch.float64).log())
    found = loss.min_snr_weight(SCHEDULE, t)  # of signal-to-noise ratios 1e6, 50, 5, 1, 1e-4
    assert found.tolist() == pytest.approx([5e-6, 0.1, 1, 1, 1], rel=1e-6)
    assert float(loss.min_snr_weight(SCHEDULE, torch.zeros(1))) == 0


def test_the_weight_multiplies_the_loss_of_every_image() -> None:
    network, t = training.initialise(SHAPE.build, 0), torch.tensor([0.02, 0.1, 0.5])
    x0, noise, y = IMAGES[:3], IMAGES[3:6], LABELS[:3]
    plain, weighted = (
        training.denoising(replace(RECIPE, loss_weight=name))(network, x0, t, noise, y, 0)
        for name in ("none", "min_snr")
    )
    snr = [math.exp(2 * float(SCHEDULE.half_logsnr(one))) for one in t]
    assert (weighted / plain).tolist() == pytest.approx([min(one, 5) / one for one in snr], rel=1e-4)


def test_logit_normal_times() -> None:
    uniform = (torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000
    logits = torch.logit(loss.logit_normal_times(uniform, -0.5, 1.3))
    assert float(logits.mean()) == pytest.approx(-0.5, abs=1e-6) and float(logits.std()) == pytest.approx(1.3, rel=1e-3)
    assert float(logits.median()) == pytest.approx(-0.5, abs=1e-3)
    extremes = loss.logit_normal_times(torch.tensor([0.0, 1 - 2**-24]), 0.0, 3.0)
    assert bool(((extremes >= 0) & (extremes <= 1)).all())


def test_a_switch_changes_no_other_draw() -> None:
    plain = drawn(RECIPE)
    on = replace(RECIPE, times="logit_normal", label_dropout=0.3, augment="flip_rotate")
    switched = drawn(on)
    for name in ("indices", "noise", "mirrored"):
        assert torch.equal(getattr(plain, name), getattr(switched, name))
    assert torch.equal(switched.t, loss.logit_normal_times(plain.t, 0.0, 1.0))
    assert plain.unlabelled is None and plain.augment is None
    assert switched.augment is not None and switched.augment.shape == (8, 4)
    halves = [training._Draws.of(3, 30, (1, 8, 8), on, rows) for rows in (slice(0, 3), slice(3, 8))]
    for name in ("unlabelled", "augment", "t"):
        assert torch.equal(torch.cat([getattr(half, name) for half in halves]), getattr(switched, name))
    assert not torch.equal(switched.augment, drawn(on, 4).augment)


def test_so_many_images_lose_their_label() -> None:
    recipe = replace(RECIPE, batch_size=20_000, label_dropout=0.1)
    lost = drawn(recipe).unlabelled
    assert lost is not None and float(lost.float().mean()) == pytest.approx(0.1, abs=0.007)


def test_lost_labels_are_the_last() -> None:
    shape = replace(SHAPE, null_label=True)
    seen: list[Tensor] = []

    def objective(network: object, x0: Tensor, t: Tensor, noise: Tensor, y: Tensor, iteration: int) -> Tensor:
        seen.append(y)
        return training.denoising(recipe)(network, x0, t, noise, y, iteration)  # type: ignore[arg-type]

    recipe = replace(RECIPE, label_dropout=0.5)
    training.train(fresh(shape, recipe), IMAGES, LABELS, recipe, until=4, objective=objective)
    for iteration, y in enumerate(seen):
        draws = drawn(recipe, iteration)
        assert draws.unlabelled is not None
        assert torch.equal(y, torch.where(draws.unlabelled, 3, LABELS[draws.indices]))


@pytest.mark.parametrize(
    ("changed", "more"),
    [
        ({}, 0),
        ({"null_label": True}, 16),
        ({"subclasses": [[4, 3], [5, 5], [9, 1]]}, 3 * 16),
        ({"subclasses": [[4, 3], [5, 5], [9, 1]], "null_label": True}, 4 * 16),
        ({"augment_dim": 3}, 3 * 16),
    ],
)
def test_parameters(changed: dict[str, object], more: int) -> None:
    plain, other = (sum(p.numel() for p in shape.build().parameters()) for shape in (SHAPE, replace(SHAPE, **changed)))  # type: ignore[arg-type]
    assert other - plain == more


@pytest.mark.parametrize(
    "changed",
    [
        {"loss_weight": "min_snr", "times": "logit_normal"},
        {"label_dropout": 0.3},
        {"augment": "flip_crop_scale_rotate", "augment_probability": 0.6},
    ],
)
def test_two_slices_equal_one_long_run(tmp_path: Path, changed: dict[str, object]) -> None:
    recipe = replace(RECIPE, **changed)  # type: ignore[arg-type]
    shape = replace(SHAPE, null_label=recipe.label_dropout > 0, augment_dim=augmentation.dimension(recipe.families))
    whole, first, second = (fresh(shape, recipe) for _ in range(3))
    training.train(whole, IMAGES, LABELS, recipe, until=10)
    training.train(first, IMAGES, LABELS, recipe, until=4)
    first.save(tmp_path / "4.safetensors", {})
    second.load(tmp_path / "4.safetensors", same_slice=False)
    training.train(second, IMAGES, LABELS, recipe, until=10)
    assert all(torch.equal(whole.average[name], value) for name, value in second.average.items())
    plain = fresh(SHAPE, RECIPE)
    training.train(plain, IMAGES, LABELS, RECIPE, until=10)
    assert not torch.equal(plain.average["norm.weight"], whole.average["norm.weight"])


def test_what_is_off_in_the_config_is_off_in_the_loop_and_decides_nothing() -> None:
    block = config.Train(iterations=1, slice_iterations=1, batch_size=8)
    off = {field.name: field.default for field in fields(training.Recipe) if field.name in SWITCHES}
    assert off == {name: getattr(block, name) for name in SWITCHES if name != "subclasses"}
    assert not SWITCHES & block.fingerprint().keys()
    for name, value in {"subclasses": 2, "loss_weight": "min_snr", "label_dropout": 0.1, "augment": "flip"}.items():
        assert block.model_copy(update={name: value}).fingerprint()[name] == value
    training.Recipe(**block.model_copy(update={"subclasses": 2, "times": "logit_normal"}).recipe(), snapshot_every=1)


# augmentation


def augmented(families: list[str], column: float, what: list[float], probability: float = 0.5) -> tuple[Tensor, Tensor]:
    x = torch.linspace(-1, 1, 64).reshape(1, 1, 8, 8)
    return augmentation.of_images(x, families, torch.tensor([[column, *what]]), probability)


def test_an_image_that_no_family_acts_on_is_as_it_was() -> None:
    families = list(augmentation.NUMBERS)
    x = torch.linspace(-1, 1, 128).reshape(2, 1, 8, 8)
    uniform = torch.full((2, augmentation.draws(families)), 0.9)
    found, done = augmentation.of_images(x, families, uniform, 0.15)
    assert torch.allclose(found, x, atol=1e-6) and torch.equal(done, torch.zeros(2, 6))


def test_what_was_done_is_said() -> None:
    x = torch.linspace(-1, 1, 64).reshape(1, 1, 8, 8)
    found, done = augmented(["flip"], 0.1, [0.5])
    assert torch.allclose(found, x.flip(3)) and done.tolist() == [[1]]
    found, done = augmented(["crop"], 0.1, [0.99, 0.4])  # an eighth of 8 pixels: by one, and by none
    assert done.tolist() == [[1, 0]]
    assert torch.allclose(found[..., :-1, :], x[..., 1:, :], atol=1e-6) and bool((found[..., -1, :] == -1).all())
    found, done = augmented(["rotate"], 0.1, [0.5])
    assert torch.allclose(found, x, atol=1e-5) and done.tolist() == [[0]]
    found, done = augmented(["scale"], 0.1, [0.5, 1.0])
    assert done[0].tolist() == pytest.approx([0, 1]) and not torch.allclose(found, x, atol=0.01)
    assert torch.allclose(augmented(["scale"], 0.1, [0.5, 0.5])[0], x, atol=1e-5)


def test_each_family_acts_so_often() -> None:
    families = ["flip", "rotate"]
    uniform = torch.rand(20_000, augmentation.draws(families), generator=torch.Generator().manual_seed(0))
    _, done = augmentation.of_images(torch.zeros(20_000, 1, 8, 8), families, uniform, 0.15)
    assert (done != 0).float().mean(0).tolist() == pytest.approx([0.15, 0.15], abs=0.01)
    assert float(((done[:, 0] != 0) & (done[:, 1] != 0)).float().mean()) == pytest.approx(0.15**2, abs=0.005)


def test_nothing_done_is_the_same_as_nothing_said() -> None:
    network = training.initialise(replace(SHAPE, augment_dim=2).build, 0)
    x, t, y = IMAGES[:4], torch.full((4,), 0.3), LABELS[:4]
    with torch.no_grad():
        assert torch.equal(network(x, t, y), network(x, t, y, torch.zeros(4, 2)))
        assert not torch.equal(network(x, t, y), network(x, t, y, torch.ones(4, 2)))


# sub-classes

COUNTS = [[6, 2], [5, 5], [9, 1]]


def test_parts_are_found_within_each_class() -> None:
    draws = torch.Generator().manual_seed(0)
    centres = torch.tensor([[0.0, 0], [10, 0], [0, 10], [10, 10]])
    which = torch.cat([torch.full((n,), i) for i, n in enumerate((12, 30, 25, 8))])
    order = torch.randperm(len(which), generator=draws)
    which = which[order]
    points = centres[which] + 0.1 * torch.randn(len(which), 2, generator=draws)
    parts = subclasses.divided(points, which // 2, 2, 2, seed=0)
    # the larger one first: of class 0 those at (10, 0), of class 1 those at (0, 10)
    assert torch.equal(parts, torch.tensor([1, 0, 0, 1])[which])
    with pytest.raises(UserError, match=r"class 1 has 33 images, fewer than 40; lower it"):
        subclasses.divided(points, which // 2, 2, 40, seed=0)


def test_labels_of_parts(tmp_path: Path) -> None:
    file = tmp_path / "subclasses.safetensors"
    labels, parts = torch.tensor([0, 1, 2, 0, 1]), torch.tensor([0, 1, 0, 1, 1])
    tensor_files.save(file, {"parts": parts}, {})
    found, counts = subclasses.labels_of(labels, 3, [file])
    assert found.tolist() == [0, 4, 2, 3, 4] and counts == [[1, 1], [0, 2], [1, 0]]
    assert torch.equal(found % 3, labels)
    assert subclasses.labels_of(labels, 3, []) == (labels, [])
    with pytest.raises(UserError, match=r"not the parts of these 4 images"):
        subclasses.labels_of(labels[:4], 3, [file])


def test_parts_are_drawn_as_often_as_they_are_real_whatever_the_batch() -> None:
    labels = sampling.labels_of(0, 30_000, 3)
    found = subclasses.drawn(labels, COUNTS, seed=1, first=0)
    assert torch.equal(found % 3, labels)
    for label, row in enumerate(COUNTS):
        share = (found[labels == label] // 3).bincount(minlength=2) / 10_000
        assert share.tolist() == pytest.approx([one / sum(row) for one in row], abs=0.02)
    assert torch.equal(subclasses.drawn(labels[600:700], COUNTS, seed=1, first=600), found[600:700])
    assert not torch.equal(subclasses.drawn(labels, COUNTS, seed=2, first=0), found)


def test_a_part_without_images_is_never_drawn() -> None:
    found = subclasses.drawn(torch.zeros(5000, dtype=torch.int64), [[0, 3, 0]], seed=0, first=0)
    assert set(found.tolist()) == {1}


def test_a_network_with_parts_draws_classes(tmp_path: Path) -> None:
    shape = replace(SHAPE, subclasses=COUNTS, null_label=True)
    file = tmp_path / "5.safetensors"
    weights.save(file, training.initialise(shape.build, 0).state_dict(), shape, {})
    network, loaded, _ = weights.load(file, torch.device("cpu"))
    assert loaded == shape and network.label_emb is not None and network.label_emb.num_embeddings == 7
    seen: list[Tensor] = []

    def predict(x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        seen.append(y)
        return network(x, t, y)

    solver = config.Solver(steps=1).model_dump()
    _, labels = sampling.draw(predict, loaded, solver, seed=4, first=7, count=50, device=torch.device("cpu"))
    assert torch.equal(labels, torch.arange(7, 57) % 3)
    assert torch.equal(seen[0], subclasses.drawn(labels, COUNTS, seed=4, first=7)) and int(seen[0].max()) > 2
