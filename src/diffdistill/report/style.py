"""How all figures look, whatever the user's own matplotlib settings are."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from diffdistill.runtime import files

DPI = 200
BLUE, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#009e73", "#8a8a8a"
"""Distinguishable for colour-blind readers too."""
SKY, PINK, YELLOW = "#56b4e9", "#cc79a7", "#e69f00"
FONT = "DejaVu Sans"
"""Comes with matplotlib."""
STYLE: dict[Any, Any] = {
    "font.family": FONT,
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "pdf.fonttype": 42,
    "svg.hashsalt": "diffdistill",
}
THOUSANDS = StrMethodFormatter("{x:,.0f}")


@contextmanager
def own_style(**changes: Any) -> Iterator[None]:
    """matplotlib's defaults with STYLE and the changes: a user's matplotlibrc has no effect."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE | changes)
        yield


def save(figure: Figure, path: Path) -> None:
    """As pdf or png, by the ending; byte-reproducible (no timestamps). Raises OSError naming the file."""
    metadata = {"CreationDate": None, "ModDate": None} if path.suffix == ".pdf" else {}
    with files.replacing(path) as temporary, own_style():
        figure.savefig(temporary, dpi=DPI, metadata=metadata)


@cache
def _known_letters() -> frozenset[int]:
    return frozenset(font_manager.get_font(font_manager.findfont(FONT)).get_charmap())


def can_show(text: str) -> bool:
    """Whether the font of the figures has every letter of the text."""
    return all(ord(letter) in _known_letters() for letter in text if letter != "\n")
