"""Cutting a split by class, seeded."""

from typing import Any

import numpy as np

from diffdistill.errors import UserError

Array = np.ndarray[Any, Any]


def cut(labels: Array, *, per_class: int, seed: int) -> tuple[Array, Array]:
    """Sorted indices (rest, cut): `cut` holds per_class random images of every class, `rest` all others.

    Raises UserError if a class would have none left.
    """
    random, chosen = np.random.default_rng(seed), []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        if len(members) <= per_class:
            raise UserError(f"source: class {label} has {len(members)} images, cutting {per_class} a class leaves none")
        chosen.append(random.permutation(members)[:per_class])
    picked = np.sort(np.concatenate(chosen))
    return np.setdiff1d(np.arange(len(labels)), picked), picked
