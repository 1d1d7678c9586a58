"""A data set of two classes that a network tells apart at a glance: dark left and dark right halves, with noise."""

import pytest
import torch

from diffdistill import config
from diffdistill.config.refine import Refine
from diffdistill.refining import matching, sets
from diffdistill.refining.parameters import Pixels
from diffdistill.refining.state import State
from diffdistill.runtime.seeds import generator


def halves(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Images uint8 (count, 1, 8, 8) and labels."""
    labels = torch.arange(count) % 2
    images = torch.randint(0, 120, (count, 1, 8, 8), generator=generator("halves", seed))
    for label in (0, 1):
        images[labels == label, :, :, 4 * label : 4 * label + 4] += 100
    return images.to(torch.uint8), labels


class Setting:
    """What a run of refining needs, small enough for milliseconds an iteration."""

    def __init__(self, **changes: object) -> None:
        values = {"images_per_class": 2, "iterations": 8, "batch_real": 8, "augment": "scale_rotate", "seed": 3}
        self.block = config.read(Refine, {**values, **changes}, "refine")
        images, labels = halves(40, 0)
        self.real = matching.Real.of(images, labels, 2, ([0.4], [0.2]))
        self.networks = matching.Networks((1, 8, 8), 2, width=8, depth=2, momentum=0.9, weight_decay=5e-4)
        self.parameters = Pixels(self.block.factor)

    def start(self) -> State:
        pick = sets.picks(self.block.start_pick, self.real.images, self.block.seed)
        values = sets.from_images(
            self.real.images, self.real.labels, 2, self.block.images_per_class, factor=self.block.factor, pick=pick
        )
        return State.start(values, self.block.learning_rate, self.block.betas)

    def run(self, state: State, until: int) -> list[float]:
        """The losses."""
        losses = list[float]()
        matching.run(
            state, self.real, self.parameters, self.block, self.networks, until=until,
            after_iteration=lambda state, loss: losses.append(loss),
        )  # fmt: skip
        return losses


@pytest.fixture
def setting() -> type[Setting]:
    return Setting
