"""Batches run through the epochs without a gap."""

import pytest
import torch

from diffdistill.data.batches import batch_indices


@pytest.mark.parametrize(("images", "batch_size"), [(10, 4), (10, 10), (7, 20), (5, 1)])
def test_every_epoch_covers_every_image_once(images: int, batch_size: int) -> None:
    batches = -(-3 * images // batch_size)
    stream = torch.cat([batch_indices(images, batch_size, iteration, seed=1) for iteration in range(batches)])
    for epoch in range(3):
        assert sorted(stream[epoch * images : (epoch + 1) * images].tolist()) == list(range(images))


def test_order_depends_on_seed_and_epoch_alone() -> None:
    first = batch_indices(50, 50, 0, seed=1)
    assert torch.equal(first[20:40], batch_indices(50, 20, 1, seed=1))
    assert not torch.equal(first, batch_indices(50, 50, 1, seed=1))
    assert not torch.equal(first, batch_indices(50, 50, 0, seed=2))
