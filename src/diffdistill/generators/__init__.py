"""Generators: what makes labelled images."""

from typing import Any, Protocol

from torch import Tensor


class Generator(Protocol):
    """All that sampling within a budget, resamplings and studies know of a generator."""

    @property
    def num_classes(self) -> int: ...

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)"""

    def generate(self, first: int, labels: Tensor) -> Tensor:
        """Images first, first+1, … of classes int64 (B,): uint8 (B, C, H, W) on the CPU.

        Image i depends on the generator's seed and i alone.
        """

    def describe(self, images: int) -> dict[str, Any]:
        """Plain values for the account of a set of the first `images` images: kind, parameters, evaluations per image,
        and what else is known. More may have been generated: late images are in no set.
        """
