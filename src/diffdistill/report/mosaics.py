"""Pictures of many images, laid out in pixels: every pixel of an image is a square of whole pixels."""

import textwrap
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from diffdistill.data.image_files import ImageSet
from diffdistill.data.raw import Array
from diffdistill.errors import UserError
from diffdistill.report.excerpt import evenly_spaced
from diffdistill.report.style import DPI, can_show, own_style

COLUMNS = 10
MOST_ROWS = 20
"""Up to so many classes have a row each in `samples`; of more, ten at equal intervals."""
BLOCK = 100
"""Images of one block of `one_of_each`: the paper's Fig. 5, 6 and 7 are a block each."""
MOST_CLASSES = 1000
"""The most that fit into one picture; of more classes, as many at equal intervals."""
LINE, LINES, LETTERS = 19, 2, 14
"""Of the names below images: pixels per line, lines, and letters per line."""
MARGIN, GAP = 14, 12
PAIRS = 24


def rows_shown(per_class: Sequence[int]) -> list[int]:
    """The classes of `samples`, by the number of images of each class.

    Up to MOST_ROWS classes all of them; otherwise ten at equal intervals, of those with images.
    """
    if len(per_class) <= MOST_ROWS:
        return list(range(len(per_class)))
    filled = [label for label, images in enumerate(per_class) if images]
    return [filled[place] for place in evenly_spaced(len(filled), COLUMNS)]


@own_style()
def samples(
    generated: ImageSet,
    real: ImageSet,
    titles: Sequence[str],
    classes: Sequence[int],
    *,
    captions: tuple[str, str] = ("generated", "real"),
) -> Figure:
    """A row per class: one set left, the other right; titles: of all classes; classes: the labels shown.

    Raises UserError if a set holds no image.
    """
    labels = [_cut(_name(titles, label)) for label in classes]
    mosaics = []
    for images in (generated, real):
        of_class = [list(_arrays(images, label)[:COLUMNS]) for label in classes]
        mosaics.append(_mosaic(of_class, images, COLUMNS, _scale(images, 64), gap=(4, 4)))
    width, height = (max(mosaic.shape[axis] for mosaic in mosaics) for axis in (1, 0))
    left, top, gap = 34 + 15 * max(map(len, labels)), 54, 40
    canvas = _Canvas(left + 2 * width + gap + MARGIN, top + height + MARGIN)
    part = "" if len(classes) == len(titles) else f": {len(classes)} of {len(titles)} classes"
    for place, (title, mosaic) in enumerate(zip(captions, mosaics, strict=True)):
        canvas.image(mosaic, left + place * (width + gap), top)
        canvas.text(title + part, left + place * (width + gap), top - 16, size=11, ha="left", va="baseline")
    pitch = mosaics[0].shape[0] / len(classes)
    for row, label in enumerate(labels):
        canvas.text(label, left - 12, top + (row + 0.5) * pitch - 2, size=9, ha="right", va="center")
    return canvas.figure


@own_style()
def one_of_each(generated: ImageSet, titles: Sequence[str]) -> Figure:
    """The paper's Fig. 5 to 7: a generated image of every class, ten per row, blocks of a hundred, names below.

    The place of a class without an image stays white. Raises UserError if there is no image at all.
    """
    shown = evenly_spaced(len(titles), MOST_CLASSES)
    captions = [_wrapped(_name(titles, label)) for label in shown]
    room = LINE * max(len(lines) for lines in captions) + 14
    scale, columns = _scale(generated, 128), min(COLUMNS, len(shown))
    blocks = [range(first, min(first + BLOCK, len(shown))) for first in range(0, len(shown), BLOCK)]
    mosaics = []
    for block in blocks:
        images = [next(iter(_arrays(generated, shown[place])), None) for place in block]
        rows = [images[start : start + columns] for start in range(0, len(images), columns)]
        mosaics.append(_mosaic(rows, generated, columns, scale, gap=(room, GAP)))
    title = 56 if len(blocks) > 1 else 0
    height = sum(title + mosaic.shape[0] for mosaic in mosaics)
    canvas = _Canvas(mosaics[0].shape[1] + 2 * MARGIN - GAP, height + 2 * MARGIN)
    side_y, side_x = (scale * side for side in generated.images.shape[2:])
    top = MARGIN
    for block, mosaic in zip(blocks, mosaics, strict=True):
        if title:
            text = f"classes {shown[block[0]]} to {shown[block[-1]]}"
            text += "" if len(shown) == len(titles) else f", {len(block)} of them"
            canvas.text(text, MARGIN, top + title - 20, size=11, ha="left", va="baseline")
        top += title
        canvas.image(mosaic, MARGIN, top)
        for place in block:
            row, column = divmod(place - block[0], columns)
            x, y = MARGIN + column * (side_x + GAP) + side_x / 2, top + row * (side_y + room) + side_y
            for line, text in enumerate(captions[place], 1):
                canvas.text(text, x, y + LINE * line, size=5.5, ha="center", va="baseline")
        top += mosaic.shape[0]
    return canvas.figure


@own_style()
def closest_pairs(generated: Tensor, train: Tensor, distances: Tensor, indices: Tensor) -> Figure:
    """The generated images (left) that are most clearly nearest to one train image (right).

    generated, train: uint8 (N, C, H, W) and (M, C, H, W). distances, indices: (N, 2), of the two train images nearest
    to each generated one; the number above a pair is the ratio of its two distances.
    """
    ratio = distances[:, 0] / distances[:, 1].clamp(min=1e-12)
    closest = ratio.argsort()[:PAIRS].tolist()
    figure = Figure(figsize=(8, 1.25 * -(-len(closest) // 4) + 0.5), layout="constrained")
    figure.suptitle("generated | nearest train image, and ratio of its distance to that of the second", fontsize=9)
    grid = figure.subplots(-(-len(closest) // 4), 4, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, place in zip(grid.flat, closest, strict=False):
        images = [generated[place], train[indices[place, 0]]]
        edge = torch.full_like(images[0][..., :1], 255)
        pair = torch.cat([images[0], edge, images[1]], dim=2).permute(1, 2, 0)  # (H, 2 W + 1, C)
        axes.imshow(pair.expand(-1, -1, 3).numpy(), interpolation="nearest")
        axes.set_title(f"{ratio[place]:.2f}", fontsize=8, loc="center")
    return figure


class _Canvas:
    """A figure with coordinates in pixels from its upper left corner."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width / DPI, height / DPI))

    def image(self, array: Array, x: int, y: int) -> None:
        """Axes of exactly the array's size: no pixel is resampled."""
        h, w = array.shape[:2]
        bounds = (x / self.width, 1 - (y + h) / self.height, w / self.width, h / self.height)
        axes = self.figure.add_axes(bounds)
        axes.imshow(array, cmap="gray", vmin=0, vmax=255, interpolation="nearest", aspect="auto")
        axes.set_axis_off()

    def text(self, text: str, x: float, y: float, *, size: float, **where: Any) -> None:
        self.figure.text(x / self.width, 1 - y / self.height, text, fontsize=size, parse_math=False, **where)


def _scale(images: ImageSet, side: int) -> int:
    """The factor of enlargement that brings an image near this side."""
    if not len(images.images):
        raise UserError("the set has no images to show; make it again")
    return max(1, round(side / max(images.images.shape[2:])))


def _arrays(images: ImageSet, label: int) -> Array:
    """uint8 (n, H, W, C) of one class."""
    found: Array = images.images[images.labels == label].permute(0, 2, 3, 1).numpy()
    return found


def _mosaic(
    rows: Sequence[Sequence[Array | None]], images: ImageSet, columns: int, scale: int, gap: tuple[int, int]
) -> Array:
    """uint8 (rows * (H + gap), columns * (W + gap), 3) of images (H, W, C) of one set; white for None."""
    height, width = images.images.shape[2:]
    cell_height, cell_width = scale * height + gap[0], scale * width + gap[1]
    canvas = np.full((len(rows) * cell_height, columns * cell_width, 3), 255, dtype=np.uint8)
    for y, row in enumerate(rows):
        for x, image in enumerate(row):
            if image is not None:
                square = image.repeat(scale, axis=0).repeat(scale, axis=1)  # grey broadcasts to three channels
                top, left = y * cell_height, x * cell_width
                canvas[top : top + scale * height, left : left + scale * width] = square
    return canvas


def _name(titles: Sequence[str], label: int) -> str:
    """The class in a picture: the first of several names, as WordNet lists them; its number if the font lacks it."""
    name = " ".join(titles[label].split(", ")[0].replace("_", " ").split())
    # what has no width breaks matplotlib's pdf or turns the text around it
    name = "".join(letter for letter in name if unicodedata.category(letter) not in ("Cc", "Cf"))
    return name if can_show(name) else f"class {label}"


def _cut(text: str) -> str:
    return text if len(text) <= LETTERS else f"{text[: LETTERS - 1]}…"


def _wrapped(name: str) -> list[str]:
    """Lines of a name; what does not fit into them ends in an ellipsis."""
    lines = textwrap.wrap(name, LETTERS) or [""]
    return lines if len(lines) <= LINES else [*lines[: LINES - 1], _cut(" ".join(lines[LINES - 1 :]))]
