"""Labels of a foreign file as indices into the real data's classes: by name where there are names, never by guess."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from diffdistill.data.export import folder_names
from diffdistill.data.raw import Array
from diffdistill.errors import UserError

LISTED = 5
ROUNDING = 1e-3
"""How far from 1 the probabilities of an image may add up."""


@dataclass(frozen=True)
class RealSet:
    """What a finished set has to fit."""

    classes: list[str]
    image_shape: tuple[int, int, int]
    """(C, H, W)."""
    titles: list[str] | None = None
    """For people, in the order of classes, where the names are codes."""
    published_order: list[str] | None = None
    """Names of labels 0, 1, ... as the real data set numbers them; None: the order of classes."""


@dataclass(frozen=True)
class Labels:
    """hard: int64 (N,), indices into the real classes; soft: float32 (N, K) in their order, or None."""

    hard: Array
    soft: Array | None
    how: str
    """Where the order of the classes comes from, as a log says it."""
    counts: Array = field(repr=False)
    """int64 (K,): images per class."""


def matched(
    path: Path,
    labels: Array | None,
    count: int,
    names: list[str] | None,
    given: Sequence[str] | Literal["as_source"] | None,
    real: RealSet,
    *,
    logits: bool = False,
) -> Labels:
    """The labels of `count` images; None: the images stand in blocks of equal length, one per class.

    names: of the file's labels 0, 1, ...; given: a caller's. logits: rows of soft labels go through a softmax. Raises
    UserError if the order of classes is not known, a name or number fits no class, or a class has no image.
    """
    by_position = labels is None
    if labels is None:
        labels = _positions(path, count, len(real.classes))
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim not in (1, 2) or len(labels) != count:
        raise UserError(f"{path}: {count} images, but labels of shape {labels.shape}; one label per image is needed")
    if labels.dtype.kind == "U":
        names = sorted({str(one) for one in labels})
        labels = np.searchsorted(np.array(names), labels)
    order, how = order_of(path, names, given, real)
    soft = None
    if labels.ndim == 2:
        if labels.shape[1] != len(order):
            raise UserError(f"{path}: soft labels of {labels.shape[1]} classes; there are {len(order)}")
        soft = _probabilities(path, labels, logits)[:, np.argsort(order)]
        hard = soft.argmax(1).astype(np.int64)
        if ((soft == 0) | (soft == 1)).all():  # one-hot rows say no more than a number does
            soft = None
    else:
        hard = order[_numbers(path, labels, len(order))]
    counts = np.bincount(hard, minlength=len(real.classes))
    if not counts.all():
        empty = [real.classes[label] for label in np.flatnonzero(counts == 0)]
        raise UserError(f"{path}: no image of {_listed(empty)}; every class needs one")
    return Labels(hard, soft, f"labels by position, {how}" if by_position else how, counts)


def _positions(path: Path, count: int, num_classes: int) -> Array:
    if not count or count % num_classes:
        raise UserError(
            f"{path}: has no labels, and its {count} images do not divide into {num_classes} classes; "
            "give a second file with the labels"
        )
    return np.repeat(np.arange(num_classes), count // num_classes)


def order_of(
    path: Path, names: list[str] | None, given: Sequence[str] | Literal["as_source"] | None, real: RealSet
) -> tuple[Array, str]:
    """int64 (K,): the real class of the file's label 0, 1, ..., and where that is known from.

    names: of these labels; given: a caller's. Raises UserError if the order is not known or a name is no class.
    """
    if names is not None:
        numbers = _numbers_of(names)
        if numbers is None:
            if given is not None and (given == "as_source" or list(given) != names):
                raise UserError(f"{path}: its classes are {_listed(names)} in this order, another order was given")
            return _places(path, names, real), "classes by name"
        if len(numbers) != len(real.classes):
            raise UserError(f"{path}: {len(numbers)} numbered classes, the real data has {len(real.classes)}")
        order, how = order_of(path, None, given, real)  # folders and texts that are numbers name no class
        return order[numbers], how
    if given == "as_source":
        return _places(path, real.published_order or real.classes, real), "classes numbered as in the real data set"
    if given is not None:
        return _places(path, given, real), "classes in the given order"
    real_numbers = _numbers_of(real.classes)
    if real_numbers is not None:
        return np.argsort(real_numbers), "classes by number"
    shown = _listed(real.classes)
    raise UserError(
        f"{path}: its labels have no names, and their order is not known ({shown}, or as the real data set numbers "
        "them); say which class each number is"
    )


def _numbers_of(names: Sequence[str]) -> list[int] | None:
    """The names as numbers, if they are 0, 1, ... in any order: 10 comes before 2 in a list of folders."""
    if not all(name.isascii() and name.isdigit() and len(name) < 10 for name in names):
        return None
    numbers = [int(name) for name in names]
    return numbers if sorted(numbers) == list(range(len(numbers))) else None


def _places(path: Path, names: Sequence[str], real: RealSet) -> Array:
    """The real class of each name."""
    aliases = [real.classes, folder_names(real.classes)] + ([real.titles] if real.titles else [])
    best: list[str] | None = None
    for alias in aliases:
        found = numbers_by_name(names, ((name, place) for place, name in enumerate(alias)))
        unknown = [name for name, place in zip(names, found, strict=True) if place is None]
        if not unknown:
            return _each_once(path, names, np.array(found, np.int64), real)
        best = unknown if best is None or len(unknown) < len(best) else best
    raise UserError(
        f"{path}: {_listed(best or list(names))} is no class of the real data ({_listed(real.classes)}); name all alike"
    )


def _each_once(path: Path, names: Sequence[str], places: Array, real: RealSet) -> Array:
    if len(set(places.tolist())) != len(places):
        raise UserError(f"{path}: two of {_listed(list(names))} are the same class; name each class once")
    missing = sorted(set(range(len(real.classes))) - set(places.tolist()))
    if missing:
        absent = _listed([real.classes[place] for place in missing])
        raise UserError(f"{path}: the class {absent} is missing; every class of the real data is needed")
    return places


def numbers_by_name(names: Iterable[str], known: Iterable[tuple[str, int]]) -> list[int | None]:
    """The number of each name, None where there is none or more than one.

    The same spelling comes before names that are only comparable, as 'A' and 'a' may be two classes.
    """
    exact: defaultdict[str, set[int]] = defaultdict(set)
    alike: defaultdict[str, set[int]] = defaultdict(set)
    for name, number in known:
        exact[name].add(number)
        alike[_comparable(name)].add(number)
    found = [exact.get(name) or alike.get(_comparable(name), set()) for name in names]
    return [min(numbers) if len(numbers) == 1 else None for numbers in found]


def _comparable(name: str) -> str:
    """Equal for names that differ in case, spaces or the composition of letters."""
    return re.sub(r"[\s_-]+", "_", unicodedata.normalize("NFC", name).casefold().strip())


def _numbers(path: Path, labels: Array, num_classes: int) -> Array:
    if labels.dtype.kind not in "iuf":
        raise UserError(f"{path}: labels of {labels.dtype}; whole numbers are needed")
    if labels.dtype.kind == "f" and not (np.isfinite(labels).all() and (labels == np.rint(labels)).all()):
        row = int(np.flatnonzero(~(np.isfinite(labels) & (labels == np.rint(labels))))[0])
        raise UserError(f"{path}: the label of image {row} is {labels[row]}; whole numbers are needed")
    low, high = (labels.min(), labels.max()) if len(labels) else (0, 0)
    if low < 0 or high >= num_classes:
        raise UserError(f"{path}: labels {low:g}..{high:g}, but {num_classes} classes are numbered from 0")
    return labels.astype(np.int64)


def _probabilities(path: Path, rows: Array, logits: bool) -> Array:
    """float32 (N, K), each row adding up to 1."""
    if rows.dtype.kind not in "iuf" or not np.isfinite(rows).all():
        raise UserError(f"{path}: soft labels of {rows.dtype} with NaN or infinity; finite numbers are needed")
    values = rows.astype(np.float64)
    if logits:
        values = np.exp(values - values.max(1, keepdims=True))
        return np.asarray(values / values.sum(1, keepdims=True), np.float32)
    sums = values.sum(1)
    wrong = (values < -ROUNDING).any(1) | (abs(sums - 1) > ROUNDING)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise UserError(
            f"{path}: the soft label of image {row} adds up to {sums[row]:.4g} with a minimum of "
            f"{values[row].min():.4g}, so it holds no probabilities; if these are logits, set soft_labels: logits"
        )
    values = values.clip(0)
    return np.asarray(values / values.sum(1, keepdims=True), np.float32)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(f"'{name}'" for name in names[:LISTED]) + more
