"""UniPC (Zhao et al. 2023, arXiv 2302.04867) with B_2(h) = e^h - 1: a step is corrected by the prediction at its end.

That prediction is the one the next step starts with, so the correction calls the network no further time. The error
falls by one order faster than that of the steps alone.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from diffdistill.diffusion.solvers.grid import multistep_order
from diffdistill.diffusion.solvers.prediction import Space, phi


def weights(nodes: list[float], g: float) -> list[float]:
    """rho with sum_j rho_j r_j^(k-1) = k! phi_(k+1) / B for k = 1, 2, ..: equation 5; nodes are the r_j, in steps.

    A single node has 1/2, at any g: so do the authors, for the coefficients of equation 5 tend to it.
    """
    if len(nodes) == 1:
        return [0.5]
    phi_1, *later = phi(g)
    right = [factor * value / phi_1 for factor, value in zip((1.0, 2.0, 6.0), later, strict=True)][: len(nodes)]
    powers = torch.tensor([[node**k for node in nodes] for k in range(len(nodes))], dtype=torch.float64)
    return torch.linalg.solve(powers, torch.tensor(right, dtype=torch.float64)).tolist()  # type: ignore[no-any-return]


@dataclass(frozen=True)
class _Step:
    """A first-order step from the prediction m, and the slopes that bend it."""

    first_order: Tensor
    scale: float
    g: float
    m: Tensor
    nodes: list[float]
    """Where older predictions were made, in steps back."""
    slopes: list[Tensor]

    def end(self, at_end: Tensor | None = None) -> Tensor:
        """UniP, the predictor, or with the prediction at the end UniC, the corrector."""
        nodes, slopes = self.nodes, self.slopes
        if at_end is not None:
            nodes, slopes = [*nodes, 1.0], [*slopes, at_end - self.m]
        if not nodes:
            return self.first_order
        rho = weights(nodes, self.g)
        return self.first_order - self.scale * sum(w * slope for w, slope in zip(rho, slopes, strict=True))


def multistep(space: Space, x: Tensor, grid: Tensor, order: int) -> Tensor:
    """Algorithms 5 to 8, predictor and corrector of `order`; the last step is not corrected."""
    steps = len(grid) - 1
    half_logsnr = space.schedule.half_logsnr(grid).tolist()
    seen: list[Tensor] = []  # the predictions at the last three times, newest first
    step: _Step | None = None
    for i in range(steps):
        m = space.predict(x, grid[i])
        if step is not None:
            x = step.end(m)
        seen = [m, *seen[:2]]
        ratio, b_t, g = space.step(grid[i], grid[i + 1])
        scale, h = b_t * phi(g)[0], half_logsnr[i + 1] - half_logsnr[i]
        nodes = [(half_logsnr[i - k] - half_logsnr[i]) / h for k in range(1, multistep_order(i, steps, order))]
        slopes = [(older - m) / node for older, node in zip(seen[1:], nodes, strict=False)]
        step = _Step(ratio * x - scale * m, scale, g, m, nodes, slopes)
        x = step.end()
    return x
