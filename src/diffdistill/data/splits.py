"""Cutting a split by class, seeded; images of one group stay together."""

from collections.abc import Mapping, Sequence

import numpy as np

from diffdistill.data.raw import Array
from diffdistill.errors import UserError

NAMED = 5
"""Classes that a message names."""


def cut(
    labels: Array,
    *,
    per_class: int | None = None,
    fraction: float | None = None,
    seed: int,
    classes: Sequence[str] | None = None,
    groups: Array | None = None,
) -> tuple[Array, Array]:
    """Sorted int64 indices (rest, cut): `cut` holds random images of every class, `rest` all others.

    Every class of labels int64 (N,) gives per_class images, or `fraction` of its own (rounded, at least one): say one
    of the two. groups: int64 (N,); images of one group are cut together, so a class can give more. classes: names for
    messages. Raises UserError naming every class that would have no image left.
    """
    if (per_class is None) == (fraction is None):
        raise ValueError("give either per_class or fraction")
    if not len(labels):
        raise UserError("there are no images to cut a split from")
    members = {int(label): np.flatnonzero(labels == label) for label in np.unique(labels)}
    wanted = {
        label: per_class if per_class is not None else max(1, round(len(rows) * (fraction or 0)))
        for label, rows in members.items()
    }
    counts = {label: len(rows) for label, rows in members.items()}
    require_enough(counts, wanted, classes)
    random = np.random.default_rng(seed)
    if groups is None:
        picked = np.concatenate([random.permutation(rows)[: wanted[label]] for label, rows in members.items()])
    else:
        picked = _whole_groups(labels, groups, counts, wanted, random, classes)
    picked = np.sort(picked)
    return np.setdiff1d(np.arange(len(labels)), picked), picked


def require_enough(counts: Mapping[int, int], wanted: Mapping[int, int], classes: Sequence[str] | None) -> None:
    """Raises UserError naming every class (by label) that has no image left when `wanted` of its `counts` are cut."""
    short = [label for label, count in counts.items() if count <= wanted[label]]
    if len(short) == 1:
        (label,) = short
        images = "1 image" if counts[label] == 1 else f"{counts[label]} images"
        raise UserError(
            f"class {_quoted(label, classes)} has {images}; cutting {wanted[label]} per class leaves none; cut fewer"
        )
    if short:
        most = max(wanted[label] for label in short)
        listed = _listed([f"{_quoted(label, classes)} has {counts[label]}" for label in short])
        raise UserError(
            f"{len(short)} classes have too few images: {listed}; cutting {most} per class leaves none; cut fewer"
        )


def _quoted(label: int, classes: Sequence[str] | None) -> str:
    return f"'{classes[label]}'" if classes is not None else str(label)


def _listed(parts: Sequence[str]) -> str:
    return ", ".join(parts[:NAMED]) + (f" and {len(parts) - NAMED} more" if len(parts) > NAMED else "")


def _whole_groups(
    labels: Array,
    groups: Array,
    counts: Mapping[int, int],
    wanted: Mapping[int, int],
    random: np.random.Generator,
    classes: Sequence[str] | None,
) -> Array:
    """Indices of random groups until every class has its share; a group that would empty a class is passed over."""
    order = np.argsort(groups, kind="stable")
    numbers, starts = np.unique(groups[order], return_index=True)
    rows_of = dict(zip(numbers.tolist(), np.split(order, starts[1:]), strict=True))
    cut, left, picked = dict.fromkeys(counts, 0), dict(counts), list[Array]()
    for group in random.permutation(numbers).tolist():
        found, times = np.unique(labels[rows_of[group]], return_counts=True)
        of_class = dict(zip(found.tolist(), times.tolist(), strict=True))
        lacking = any(cut[label] < wanted[label] for label in of_class)
        if lacking and all(left[label] > count for label, count in of_class.items()):
            picked.append(rows_of[group])
            for label, count in of_class.items():
                cut[label] += count
                left[label] -= count
    short = [f"{_quoted(label, classes)} gives {cut[label]}" for label in counts if cut[label] < wanted[label]]
    if short:
        raise UserError(
            f"whole groups give too few images of {len(short)} classes without taking all that these have: "
            f"{_listed(short)} of {max(wanted.values())}; cut fewer, or make the groups smaller"
        )
    return np.concatenate(picked)
