"""Cutting a split by class, seeded."""

import numpy as np

from diffdistill.data.raw import Array
from diffdistill.errors import UserError


def cut(
    labels: Array, *, per_class: int | None = None, fraction: float | None = None, seed: int
) -> tuple[Array, Array]:
    """Sorted int64 indices (rest, cut): `cut` holds random images of every class, `rest` all others.

    Every class of labels int64 (N,) gives per_class images, or `fraction` of its own (rounded, at least one): say one
    of the two. Raises UserError if a class would have none left.
    """
    if (per_class is None) == (fraction is None):
        raise ValueError("give either per_class or fraction")
    if not len(labels):
        raise UserError("source: there are no images to cut a split from")
    random, chosen = np.random.default_rng(seed), []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = per_class if per_class is not None else max(1, round(len(members) * (fraction or 0)))
        if len(members) <= count:
            raise UserError(
                f"source: class {label} has {len(members)} images, cutting {count} a class leaves none; cut fewer"
            )
        chosen.append(random.permutation(members)[:count])
    picked = np.sort(np.concatenate(chosen))
    return np.setdiff1d(np.arange(len(labels)), picked), picked
