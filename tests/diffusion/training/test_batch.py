"""What a step draws depends on the row of the batch, and on no process."""

import pytest
import torch

from diffdistill.data.batches import batch_indices
from diffdistill.diffusion import training
from diffdistill.runtime.processes import Processes
from tests.diffusion.models import RECIPE


def test_every_epoch_covers_every_image_once_in_an_order_of_its_own() -> None:
    batches = torch.cat([batch_indices(103, 8, iteration, seed=1) for iteration in range(103)])
    epochs = batches.reshape(8, 103)
    assert all(torch.equal(epoch.sort().values, torch.arange(103)) for epoch in epochs)
    assert not torch.equal(epochs[0], epochs[1])
    assert sorted(batch_indices(3, 8, 0, seed=1)[:6].tolist()) == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_processes_and_pieces_take_every_image_of_an_epoch_once(count: int) -> None:
    taken = []
    for iteration in range(103):
        for rank in range(count):
            group = Processes(rank, count)
            drawn = training.Batch.draw(iteration, 103, (1, 8, 8), RECIPE, group.share(8))
            pieces = training.Execution(group, micro_batch_size=2).pieces(8)
            taken += [index for piece in pieces for index in drawn.indices[piece].tolist()]
    assert taken == torch.cat([batch_indices(103, 8, k, RECIPE.seed) for k in range(103)]).tolist()


def test_draws_depend_on_the_row_of_the_batch_and_on_no_process() -> None:
    whole = training.Batch.draw(3, 103, (1, 8, 8), RECIPE, slice(0, 8))
    assert len({tuple(noise.flatten().tolist()) for noise in whole.noise}) == 8 and len(set(whole.t.tolist())) == 8
    parts = [training.Batch.draw(3, 103, (1, 8, 8), RECIPE, Processes(rank, 3).share(8)) for rank in range(3)]
    for name in ("indices", "noise", "t", "mirrored"):
        assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(whole, name))
    assert not torch.equal(training.Batch.draw(4, 103, (1, 8, 8), RECIPE, slice(0, 8)).noise, whole.noise)
