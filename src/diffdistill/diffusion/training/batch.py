"""The random numbers of one training step."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor

from diffdistill.config import Recipe
from diffdistill.data.batches import batch_indices
from diffdistill.diffusion import augmentation
from diffdistill.diffusion.loss import logit_normal_times
from diffdistill.runtime.seeds import generator


@dataclass(frozen=True)
class Batch:
    """Everything random about the rows of a batch that a process computes; B rows."""

    iteration: int
    indices: Tensor
    """int64 (B,), into the train images."""
    noise: Tensor
    """float32 (B, C, H, W)"""
    t: Tensor
    """float32 (B,) in [0, 1]"""
    mirrored: Tensor | None
    """bool (B,)"""
    unlabelled: Tensor | None
    """bool (B,), the images without their label."""
    augment: Tensor | None
    """float32 (B, draws of the augmentation) in [0, 1)"""

    @classmethod
    def draw(cls, iteration: int, images: int, shape: Sequence[int], recipe: Recipe, rows: slice) -> "Batch":
        """Draw on the CPU for the whole batch and take some rows, so that processes and pieces change no number.

        images: how many train images there are; shape: (C, H, W) of each.
        """
        random, size = generator("train", recipe.seed, iteration), recipe.batch_size
        indices = batch_indices(images, size, iteration, recipe.seed)
        noise, t = torch.randn((size, *shape), generator=random), torch.rand(size, generator=random)
        if recipe.times == "logit_normal":
            t = logit_normal_times(t, recipe.times_mean, recipe.times_std)
        # what is off draws nothing, so that a switch changes no other number
        mirrored = torch.rand(size, generator=random) < 0.5 if recipe.flip else None
        random = generator("switches", recipe.seed, iteration)
        unlabelled = torch.rand(size, generator=random) < recipe.label_dropout if recipe.label_dropout else None
        columns = augmentation.draws(recipe.families)
        augment = torch.rand((size, columns), generator=random) if columns else None
        return cls(iteration, indices, noise, t, mirrored, unlabelled, augment).each(lambda tensor: tensor[rows])

    def each(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        """With a change of every tensor."""
        changed = {name: change(value) for name, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **cast(Any, changed))
