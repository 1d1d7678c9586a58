"""How the work of a training step is divided and computed."""

import itertools
import math
from dataclasses import dataclass

import torch

from diffdistill.runtime.processes import SINGLE, Processes


@dataclass(frozen=True)
class Execution:
    """How a step is computed; none of it decides what is computed, apart from rounding."""

    processes: Processes = SINGLE
    micro_batch_size: int | None = None
    """The most images at once; None: the process's whole share of the batch."""
    precision: torch.dtype = torch.float32
    """Of matrix products; weights, loss and optimiser are float32."""
    compile: bool = False

    def pieces(self, batch_size: int) -> list[slice]:
        """The rows of this process's share of a batch that are computed at once, as equal as they can be."""
        share = self.processes.share(batch_size)
        count = math.ceil((share.stop - share.start) / (self.micro_batch_size or batch_size))
        bounds = [(share.stop - share.start) * piece // count for piece in range(count + 1)]
        return [slice(*pair) for pair in itertools.pairwise(bounds)]

    def describe(self, batch_size: int) -> str:
        """How the batch is divided, for the log: global = devices x micro-batch x accumulations."""
        devices = self.processes.count
        share = math.ceil(batch_size / devices)  # the largest one
        accumulations = math.ceil(share / (self.micro_batch_size or batch_size))
        micro = math.ceil(share / accumulations)
        unequal = "at most " if devices * micro * accumulations != batch_size else ""
        product = f"{devices} device{'s' if devices > 1 else ''} x {unequal}{micro} x {accumulations}"
        precision = str(self.precision).removeprefix("torch.")
        return f"batch {batch_size} = {product}, {precision}{', compiled' if self.compile else ''}"


DEFAULT = Execution()
"""One process, all of its images at once, float32, not compiled."""
