"""Precision and recall of generated images (Kynkäänniemi et al. 2019, arXiv 1904.06991).

A set's manifold is taken for the union of balls around its points, each as large as reaches the point's k-th neighbour.
"""

import torch
from torch import Tensor

NEIGHBOURS = 3
"""The paper's k, section 2."""
BLOCK = 2048
"""Points whose distances to all others are held at a time."""


def precision_and_recall(generated: Tensor, real: Tensor, k: int = NEIGHBOURS) -> tuple[float, float]:
    """Share of generated points inside the real manifold, and of real points inside the generated one, both 0..1.

    Points (N, F) and (M, F) on one device; both shares depend on N and M, which the paper takes equal. Raises
    ValueError where a set has no k-th neighbour.
    """
    generated, real = generated.double(), real.double()
    return _inside(generated, real, k), _inside(real, generated, k)


def _inside(queries: Tensor, centres: Tensor, k: int) -> float:
    """Share of the queries (Q, F) that lie in the ball of at least one centre (M, F); equation 1."""
    if len(centres) <= k or not len(queries):
        raise ValueError(f"{len(centres)} points have no neighbour {k}, or there are no others")
    # the nearest of all is the point itself
    radii = torch.cat(
        [torch.cdist(part, centres).topk(k + 1, largest=False).values[:, k] for part in torch.split(centres, BLOCK)]
    )
    inside = [(torch.cdist(part, centres) <= radii).any(1) for part in torch.split(queries, BLOCK)]
    return float(torch.cat(inside).double().mean())
