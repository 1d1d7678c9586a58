"""Cutting, enlarging and putting together, by hand."""

from pathlib import Path

import pytest
import torch

from diffdistill.data import image_files, selection
from diffdistill.errors import UserError
from diffdistill.refining import grids, sets


def test_tiles_come_row_by_row_and_fill_the_side() -> None:
    values = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    x = values.repeat_interleave(4, 0).repeat_interleave(4, 1)[None, None]  # (1, 1, 8, 8): four flat tiles
    found = grids.enlarged(x, 2)
    assert found.shape == (4, 1, 8, 8)
    assert torch.equal(found, values.reshape(4, 1, 1, 1).expand(4, 1, 8, 8))
    assert torch.equal(grids.tiled(found, 2), x)


def test_enlarging_is_bilinear() -> None:
    x = torch.tensor([0.0, 1.0, 0.0, 0.0]).repeat(4, 1)[None, None]  # the left tiles are columns of 0 and 1
    torch.testing.assert_close(grids.enlarged(x, 2)[0, 0, 0], torch.tensor([0.0, 0.25, 0.75, 1.0]))


def test_factor_one_changes_nothing_and_a_factor_that_does_not_divide_is_refused() -> None:
    x = torch.rand(2, 1, 6, 6)
    assert grids.enlarged(x, 1) is x and grids.tiled(x, 1) is x
    for change in (grids.enlarged, grids.tiled):
        with pytest.raises(ValueError, match="6x6 pixels cannot be cut into 4x4"):
            change(torch.rand(16, 1, 6, 6), 4)


def test_a_start_holds_images_of_its_class_and_the_train_set_has_them_in_turn() -> None:
    labels = torch.tensor([0, 1, 2] * 8)
    images = (labels * 100).to(torch.uint8)[:, None, None, None].expand(24, 1, 4, 4)
    start = sets.from_images(images, labels, 3, per_class=2, factor=2, pick=selection.randomly(0))
    assert start.shape == (3, 2, 1, 4, 4)
    stored = (start * 255).round().to(torch.uint8)
    found, names = sets.train_set(stored, 2)
    assert found.shape == (24, 1, 4, 4) and names.tolist() == labels.tolist()
    assert torch.equal(found, images)


def test_without_a_factor_the_train_set_is_the_stored_bytes() -> None:
    stored = torch.arange(256, dtype=torch.uint8).reshape(2, 8, 1, 4, 4)
    found, labels = sets.train_set(stored, 1)
    assert torch.equal(found[0::2], stored[0]) and torch.equal(found[1::2], stored[1])
    assert labels.tolist() == [0, 1] * 8


def test_noise_of_an_image_depends_on_its_place_and_the_seed() -> None:
    noise = sets.from_noise(2, 3, (1, 4, 4), seed=1)
    assert torch.equal(noise.flatten(0, 1)[:2], sets.from_noise(2, 1, (1, 4, 4), seed=1).flatten(0, 1))
    assert not torch.equal(noise, sets.from_noise(2, 3, (1, 4, 4), seed=2))
    pixels = sets.pixels_from_noise(noise)
    assert pixels.min() >= 0 and pixels.max() <= 1 and 0.1 < pixels.std() < 0.4


def test_a_set_counts_as_the_images_that_it_stores(tmp_path: Path) -> None:
    path, images = tmp_path / "set.safetensors", torch.zeros(8, 1, 2, 2, dtype=torch.uint8)
    for metadata, expected in (({}, 8), ({"stored_images": "2"}, 2)):
        image_files.save(path, images, torch.arange(8) % 2, {"classes": '["a", "b"]', **metadata})
        assert image_files.stored_images(path) == expected
    for wrong in ("9", "-1", "0", "two"):
        image_files.save(path, images, torch.arange(8) % 2, {"classes": '["a", "b"]', "stored_images": wrong})
        with pytest.raises(UserError, match="'stored_images' is"):
            image_files.stored_images(path)


def test_modes_are_images_of_each_group_and_never_one_twice() -> None:
    grey = torch.tensor([0] * 10 + [120] * 4 + [250] * 2)
    images = grey.to(torch.uint8)[:, None, None, None].repeat(1, 1, 2, 2)
    images[:, 0, 0, 0] += torch.arange(16, dtype=torch.uint8) % 5  # all differ
    members = torch.arange(16)
    assert sorted(grey[sets.modes(images, 0)(members, 0, 3)].tolist()) == [0, 120, 250]
    for count in (8, 16):
        assert len(set(sets.modes(images, 2**32)(members, 0, count).tolist())) == count
