"""What each primitive does, in numbers that can be checked by hand; what `augment` draws."""

import pytest
import torch

from diffdistill.classify.convnet import ConvNet
from diffdistill.data import augment
from diffdistill.runtime.seeds import generator

X = torch.rand(3, 3, 4, 4, generator=generator("test augment"))
STRATEGY = "color_crop_cutout_flip_scale_rotate"


def whole(value: int) -> torch.Tensor:
    return torch.full((3, 1, 1), value)


@pytest.mark.parametrize("primitive", ["brightness", "saturation", "contrast"])
def test_a_middle_draw_changes_no_colour(primitive: str) -> None:
    middle = torch.full((3, 1, 1, 1), 0.5)
    torch.testing.assert_close(getattr(augment, primitive)(X, middle), X)


def test_colours_at_the_end_of_their_ranges() -> None:
    zero = torch.zeros(3, 1, 1, 1)
    torch.testing.assert_close(augment.brightness(X, zero), X - 0.5)
    torch.testing.assert_close(augment.saturation(X, zero), X.mean(1, keepdim=True).expand_as(X))
    torch.testing.assert_close(augment.contrast(X, zero), (X + X.mean((1, 2, 3), keepdim=True)) / 2)


def test_no_rotation_and_unit_scale_change_nothing() -> None:
    unit = torch.full((3,), (1 - 1 / 1.2) / (1.2 - 1 / 1.2))
    torch.testing.assert_close(augment.rotate(X, torch.full((3,), 0.5)), X)
    torch.testing.assert_close(augment.scale(X, unit, unit), X, atol=1e-5, rtol=1e-5)


def test_flip_is_left_to_right_for_draws_below_one_half() -> None:
    draws = torch.tensor([0.0, 0.49, 0.5]).reshape(3, 1, 1, 1)
    flipped = augment.flip(X, draws)
    mirrored = X[..., [3, 2, 1, 0]]
    assert torch.equal(flipped[:2], mirrored[:2]) and torch.equal(flipped[2], X[2])


def test_scale_and_rotation_of_a_picture_of_its_own_coordinates() -> None:
    side = torch.linspace(-1, 1, 9)
    down, right = torch.meshgrid(side, side, indexing="ij")
    x = torch.stack([right, down])[None]  # (1, 2, 9, 9): a pixel says where it was
    one, unit = torch.ones(1), torch.full((1,), (1 - 1 / 1.2) / (1.2 - 1 / 1.2))
    wide = augment.scale(x, torch.zeros(1), unit)[0]
    torch.testing.assert_close(wide, torch.stack([right / 1.2, down]), atol=1e-5, rtol=1e-5)
    small = augment.scale(x, unit, one)[0, :, 1:8]  # the rows at the edge come from outside
    torch.testing.assert_close(small, torch.stack([right, down * 1.2])[:, 1:8], atol=1e-5, rtol=1e-5)
    angle = torch.tensor(torch.pi / 12)
    turned = torch.stack([right * angle.cos() - down * angle.sin(), right * angle.sin() + down * angle.cos()])
    inside = augment.rotate(x, one)[0, :, 2:7, 2:7]
    torch.testing.assert_close(inside, turned[:, 2:7, 2:7], atol=1e-5, rtol=1e-5)


def test_crop_shifts_and_cutout_blanks_half_the_side() -> None:
    shifted = augment.crop(X, whole(1), whole(-2))
    expected = torch.zeros_like(X)
    expected[:, :, :3, 2:] = X[:, :, 1:, :2]
    assert torch.equal(shifted, expected)
    expected = X.clone()
    expected[:, :, 1:3, 0:2] = 0
    assert torch.equal(augment.cutout(X, whole(2), whole(1)), expected)


def test_one_family_a_batch_or_each_in_turn() -> None:
    seen = set()
    for seed in range(60):
        draws = generator("one", seed)
        family = augment.FAMILIES[int(torch.randint(6, (1,), generator=draws))]
        expected = augment.apply_family(X, family, draws)
        assert torch.equal(augment.augment(X, STRATEGY, generator("one", seed)), expected)
        seen.add(family)
    assert seen == set(augment.FAMILIES)
    draws = generator("each")
    expected = augment.apply_family(augment.apply_family(X, "scale", draws), "rotate", draws)
    assert torch.equal(augment.augment(X, "scale_rotate", generator("each"), mode="each"), expected)


def test_without_flip_no_digit_is_mirrored() -> None:
    x = torch.zeros(64, 1, 8, 8)
    x[..., :2] = 1  # ink at the left edge only
    for seed in range(50):
        out = augment.augment(x, "scale_rotate_crop", generator("digits", seed), mode="each")
        assert (out[..., :4].sum((1, 2, 3)) > out[..., 4:].sum((1, 2, 3))).all()


def test_convnet_features_are_the_classifiers_input_under_published_names() -> None:
    network = ConvNet(10, 32).requires_grad_(False)
    x = torch.rand(2, 3, 32, 32, generator=generator("convnet"))
    assert network.features(x).shape == (2, 2048)
    torch.testing.assert_close(network.classifier(network.features(x)), network(x))
    layers = [f"features.{index}" for index in (0, 1, 4, 5, 8, 9)] + ["classifier"]
    assert sorted(network.state_dict()) == sorted(f"{layer}.{part}" for layer in layers for part in ("weight", "bias"))
    normalised = network.features[:2](x)  # of each channel by itself
    assert normalised.mean((2, 3)).abs().max() < 1e-4
    assert (normalised.square().mean((2, 3)) - 1).abs().max() < 1e-2
    with pytest.raises(ValueError, match="cannot be halved"):
        ConvNet(10, 4, depth=3)


@pytest.mark.parametrize("family", augment.FAMILIES)
def test_siamese_draws_are_one_for_all_images_whatever_their_number(family: str) -> None:
    many = X.repeat(2, 1, 1, 1)
    few = augment.augment(X, family, generator("siamese"), siamese=True)
    assert torch.equal(augment.augment(many, family, generator("siamese"), siamese=True), few.repeat(2, 1, 1, 1))
    alike = augment.augment(X[:1].repeat(3, 1, 1, 1), family, generator("siamese"), siamese=True)
    assert torch.equal(alike, alike[:1].expand_as(alike))
    single = augment.augment(X[:1], family, generator("siamese"))
    torch.testing.assert_close(few[:1], single)  # as a batch of one draws
