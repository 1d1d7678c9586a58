"""The labels of a network: classes, their sub-classes, and the null label.

A label is sub-class x num_classes + class: the first sub-class of a class, and a class without any, has the number of
the class. The null label is the last.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from diffdistill.runtime.seeds import derive_seed


@dataclass(frozen=True, kw_only=True)
class LabelSpace:
    """Which labels a network knows."""

    num_classes: int
    subclasses: tuple[tuple[int, ...], ...] = ()
    """Train images per sub-class of each class, (num_classes, sub-classes); empty: no sub-classes."""
    null_label: bool = False
    """Whether there is a label for images without one."""

    @property
    def size(self) -> int:
        """How many labels there are, the null label included."""
        return self.num_classes * (len(self.subclasses[0]) if self.subclasses else 1) + self.null_label

    @property
    def null(self) -> int:
        """The null label. Raises ValueError if there is none."""
        if not self.null_label:
            raise ValueError("this label space has no null label; train with label dropout to have one")
        return self.size - 1

    def sample(self, classes: Tensor, *, seed: int, first: int) -> Tensor:
        """Labels int64 (B,) of images first, first+1, … of the given classes int64 (B,).

        The sub-class of image i follows from (seed, i) alone, with its frequency among the train images.
        """
        if not self.subclasses:
            return classes
        bounds = [[bound / sum(row) for bound in accumulate(row)] for row in self.subclasses]
        labels = classes.tolist()
        for i, label in enumerate(labels):
            uniform = derive_seed("subclass", seed, first + i) / 2**63
            labels[i] += self.num_classes * sum(bound <= uniform for bound in bounds[label])
        return torch.tensor(labels)


def balanced(first: int, count: int, num_classes: int) -> Tensor:
    """Classes int64 (count,) of images first, first+1, …: 0..K-1 repeated, so that every prefix is balanced."""
    return torch.arange(first, first + count) % num_classes


def in_proportion(counts: Sequence[int]) -> Tensor:
    """Classes int64 (sum of counts,) whose every prefix is as near to the proportions of the counts as it can be.

    Image j of a class with n images stands at (j + 1/2) / n of the way; equal counts give 0..K-1 repeated.
    """
    sizes = torch.tensor(counts)
    classes = torch.arange(len(sizes)).repeat_interleave(sizes)
    place = torch.arange(len(classes)) - (sizes.cumsum(0) - sizes)[classes]
    return classes[((place + 0.5) / sizes[classes]).sort(stable=True).indices]


def with_subclasses(labels: Tensor, parts: Tensor, num_classes: int) -> tuple[Tensor, tuple[tuple[int, ...], ...]]:
    """Labels int64 (N,) of images with these classes and sub-classes int64 (N,), and how many each sub-class has.

    Raises ValueError if the shapes differ or a part is negative.
    """
    if parts.shape != labels.shape or parts.dtype != torch.int64 or (len(parts) and int(parts.min()) < 0):
        raise ValueError(f"sub-classes must be int64 {tuple(labels.shape)}, found {parts.dtype} {tuple(parts.shape)}")
    count = int(parts.max()) + 1
    counts: Sequence[Sequence[int]] = (
        torch.bincount(labels * count + parts, minlength=num_classes * count).reshape(num_classes, count).tolist()
    )
    return parts * num_classes + labels, tuple(tuple(row) for row in counts)
