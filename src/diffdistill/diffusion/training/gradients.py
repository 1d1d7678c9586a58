"""Gradients of all processes in one tensor."""

import math

import torch
from torch import Tensor, nn

from diffdistill.runtime.processes import Processes


class Gradients:
    """All gradients as views of one tensor that ends in a row per process, so that one sum makes all processes agree.

    A row holds the process's part of the loss, the norm of its part of the gradient, and the signal that it got.
    """

    def __init__(self, network: nn.Module, processes: Processes) -> None:
        parameters = list(network.parameters())
        sizes = [math.ceil(parameter.numel() / 64) * 64 for parameter in parameters]  # aligned for fused kernels
        self._processes = processes
        self._all = torch.zeros(sum(sizes) + 3 * processes.count, device=parameters[0].device)
        *parts, rows = torch.split(self._all, [*sizes, 3 * processes.count])
        for parameter, part in zip(parameters, parts, strict=True):
            parameter.grad = part[: parameter.numel()].view_as(parameter)
        self._flat, self._rows = self._all[: sum(sizes)], rows.view(processes.count, 3)

    def clear(self) -> None:
        """Set all gradients and rows to 0."""
        self._all.zero_()

    def agree(self, loss: Tensor, signal: int) -> list[list[float]]:
        """Sum the gradients over all processes; returns their rows. On a GPU the only wait of a step."""
        mine = self._rows[self._processes.rank]
        mine[0], mine[1], mine[2] = loss, torch.linalg.vector_norm(self._flat), signal
        self._processes.all_reduce(self._all)
        rows: list[list[float]] = self._rows.tolist()
        return rows
