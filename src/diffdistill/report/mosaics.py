"""Pictures of many images, laid out in pixels: every pixel of an image is a square of whole pixels."""

import textwrap
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from diffdistill.data.image_files import ImageSet
from diffdistill.errors import UserError
from diffdistill.report import excerpt
from diffdistill.report.figures import DPI, STYLE

Array = np.ndarray[Any, Any]
COLUMNS = 10
MOST_ROWS = 20
"""Up to so many classes each have a row of `samples`; of more, ten at equal intervals do."""
BLOCK = 100
"""Images of one block of `one_of_each`: the paper's Fig. 5, 6 and 7 are a block each."""
MOST_CLASSES = 1000
"""More do not fit into one picture: then so many are shown at equal intervals."""
LINE, LINES, LETTERS = 19, 2, 14
"""Of the names below images: a line's pixels, the most lines, and the letters of one."""
MARGIN, GAP = 14, 12


def rows_shown(classes: int) -> int:
    """How many classes `samples` shows."""
    return classes if classes <= MOST_ROWS else COLUMNS


def samples(drawn: ImageSet, real: ImageSet, *, titles: tuple[str, str] = ("generated", "real")) -> Figure:
    """A row per class: one set left, the other right. Raises UserError if a set holds no image."""
    names = excerpt.titles(real.metadata)
    shown = excerpt.spread(len(names), rows_shown(len(names)))
    labels = [_cut(_short(names[label])) for label in shown]
    mosaics = []
    for images in (drawn, real):
        of_class = [list(_arrays(images, label)[:COLUMNS]) for label in shown]
        mosaics.append(_mosaic(of_class, COLUMNS, _scale(images, 64), gap=(4, 4)))
    width, height = (max(mosaic.shape[axis] for mosaic in mosaics) for axis in (1, 0))
    left, top, gap = 34 + 15 * max(map(len, labels)), 54, 40
    canvas = _Canvas(left + 2 * width + gap + MARGIN, top + height + MARGIN)
    part = "" if len(shown) == len(names) else f": {len(shown)} of {len(names)} classes"
    for place, (title, mosaic) in enumerate(zip(titles, mosaics, strict=True)):
        canvas.image(mosaic, left + place * (width + gap), top)
        canvas.text(title + part, left + place * (width + gap), top - 16, size=11, ha="left", va="baseline")
    pitch = mosaics[0].shape[0] / len(shown)
    for row, label in enumerate(labels):
        canvas.text(label, left - 12, top + (row + 0.5) * pitch - 2, size=9, ha="right", va="center")
    return canvas.figure


def one_of_each(drawn: ImageSet, names: Sequence[str]) -> Figure:
    """The paper's Fig. 5 to 7: a generated image of every class, ten to a row, blocks of a hundred, names below.

    A class without an image leaves its place white. Raises UserError if there is no image at all.
    """
    shown = excerpt.spread(len(names), MOST_CLASSES)
    captions = [_wrapped(_short(names[label])) for label in shown]
    room = LINE * max(len(lines) for lines in captions) + 14
    scale, columns = _scale(drawn, 128), min(COLUMNS, len(shown))
    blocks = [range(first, min(first + BLOCK, len(shown))) for first in range(0, len(shown), BLOCK)]
    mosaics = [
        _mosaic(
            [
                [next(iter(_arrays(drawn, shown[place])), None) for place in block[start : start + columns]]
                for start in range(0, len(block), columns)
            ],
            columns,
            scale,
            gap=(room, GAP),
        )
        for block in blocks
    ]
    title = 56 if len(blocks) > 1 else 0
    height = sum(title + mosaic.shape[0] for mosaic in mosaics)
    canvas = _Canvas(mosaics[0].shape[1] + 2 * MARGIN - GAP, height + 2 * MARGIN)
    side_y, side_x = (scale * side for side in drawn.images.shape[2:])
    top = MARGIN
    for block, mosaic in zip(blocks, mosaics, strict=True):
        if title:
            text = f"classes {shown[block[0]]} to {shown[block[-1]]}"
            text += "" if len(shown) == len(names) else f", {len(block)} of them"
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


class _Canvas:
    """A figure with coordinates in pixels from its upper left corner."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        with mpl.rc_context(STYLE):
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
    """By how many pixels each pixel is shown, so that an image comes near this side."""
    if not len(images.images):
        raise UserError("a set of images to show is empty; make it again")
    return max(1, round(side / max(images.images.shape[2:])))


def _arrays(images: ImageSet, label: int) -> Array:
    """uint8 (n, H, W, C) of one class."""
    found: Array = images.images[images.labels == label].permute(0, 2, 3, 1).numpy()
    return found


def _mosaic(rows: Sequence[Sequence[Array | None]], columns: int, scale: int, gap: tuple[int, int]) -> Array:
    """uint8 (rows * (H + gap), columns * (W + gap), 3) of images (H, W, C); white where there is none."""
    height, width, _ = next(image.shape for row in rows for image in row if image is not None)
    cell_height, cell_width = scale * height + gap[0], scale * width + gap[1]
    canvas = np.full((len(rows) * cell_height, columns * cell_width, 3), 255, dtype=np.uint8)
    for y, row in enumerate(rows):
        for x, image in enumerate(row):
            if image is not None:
                square = image.repeat(scale, axis=0).repeat(scale, axis=1)  # grey broadcasts to three channels
                top, left = y * cell_height, x * cell_width
                canvas[top : top + scale * height, left : left + scale * width] = square
    return canvas


def _short(title: str) -> str:
    """Of several names of one thing the first, as WordNet lists them."""
    return title.split(", ")[0].replace("_", " ")


def _cut(text: str) -> str:
    return text if len(text) <= LETTERS else f"{text[: LETTERS - 1]}…"


def _wrapped(name: str) -> list[str]:
    """Lines of a name; what does not fit into them ends in an ellipsis."""
    lines = textwrap.wrap(name, LETTERS) or [""]
    return lines if len(lines) <= LINES else [*lines[: LINES - 1], _cut(" ".join(lines[LINES - 1 :]))]
