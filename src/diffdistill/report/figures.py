"""The figures of results; made twice they are the same bytes, for nothing in them tells the date."""

from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from diffdistill.data.images import ImageSet
from diffdistill.errors import UserError
from diffdistill.report import tables
from diffdistill.runtime import files

DPI = 200
BLUE, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#009e73", "#8a8a8a"  # told apart by colour-blind readers too
CURVES = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "^"), ("#cc79a7", "D"), ("#56b4e9", "v"), ("#e69f00", "P"))
TRAIN_SETS = {"distilled": ("generated", BLUE), "real-random": ("real, at random", GREY), "real": ("real, all", GREEN)}
STYLE: dict[Any, Any] = {
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

COLUMNS = 10
MOST_CLASSES = 200
"""Of a set with more classes the first ones are shown: the paper's Fig. 6 and 7 together."""


def save(figure: Figure, path: Path) -> None:
    """As pdf or png, by the path's ending."""
    metadata = {"CreationDate": None, "ModDate": None} if path.suffix == ".pdf" else {}
    with files.replacing(path) as temporary, mpl.rc_context(STYLE):
        figure.savefig(temporary, dpi=DPI, metadata=metadata)


def _curves(by_name: dict[str, pd.DataFrame]) -> Iterator[tuple[str, pd.DataFrame, str, str]]:
    """Name, table, colour and marker of every experiment, however many there are."""
    for (name, table), (color, marker) in zip(by_name.items(), cycle(CURVES), strict=False):
        yield name, table, color, marker


def fid_curve(fid: dict[str, pd.DataFrame]) -> Figure:
    """The paper's Fig. 3. Distances between different kinds of features get axes of their own: they do not compare."""
    kinds = sorted({str(table["features"].iloc[0]) for table in fid.values()})
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5.6 * len(kinds), 3.5), layout="constrained")
        for axes, kind in zip(figure.subplots(1, len(kinds), squeeze=False)[0], kinds, strict=True):
            for name, table, color, marker in _curves(fid):
                if table["features"].iloc[0] != kind:
                    continue
                best = tables.lowest(table)
                label = f"{name}: lowest {best['fid']:.3g} at {best['step']} ({best['images']} images)"
                axes.plot(table["step"], table["fid"], color=color, marker=marker, label=label)
                axes.plot(best["step"], best["fid"], "o", color=color, markersize=13, fillstyle="none", clip_on=False)
            axes.set(xlabel="training iterations", ylabel=f"FID, {kind} features")
            axes.set_ylim(bottom=0)
            axes.legend(loc="upper right")
    return figure


def loss_curve(loss: dict[str, pd.DataFrame]) -> Figure:
    """Every logged loss, pale, and its running mean over a twentieth of the training."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5.6, 3.5), layout="constrained")
        axes = figure.subplots()
        for name, table, color, _ in _curves(loss):
            smooth = table["loss"].rolling(max(1, len(table) // 20), min_periods=1, center=True).mean()
            axes.plot(table["iteration"], table["loss"], color=color, alpha=0.25, linewidth=0.8)
            axes.plot(table["iteration"], smooth, color=color, label=name)
        axes.set(xlabel="training iterations", ylabel="loss (log axis)", yscale="log")
        for axis in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
            axis(ScalarFormatter())
        axes.legend()
    return figure


def accuracy(runs: dict[str, pd.DataFrame]) -> Figure:
    """A row an experiment: bars from 0 with the spread over seeds, and beside them the seeds on an axis drawn larger.

    runs: rows of distilled and of both baselines. Raises UserError if one is missing.
    """
    with mpl.rc_context({**STYLE, "axes.grid.axis": "x"}):
        figure = Figure(figsize=(8, 0.7 + 1.75 * len(runs)), layout="constrained")
        grid = figure.subplots(len(runs), 2, squeeze=False, width_ratios=(3, 2))
        for (bars, seeds), (name, table) in zip(grid, runs.items(), strict=True):
            values = {key: table.loc[table["train_set"] == key, "accuracy"].to_numpy() for key in TRAIN_SETS}
            counts = {key: table.loc[table["train_set"] == key, "images"] for key in TRAIN_SETS}
            if missing := [key for key in TRAIN_SETS if not len(values[key])]:
                raise UserError(f"results/{name}: no accuracy with train_set '{missing[0]}'; make its csv again")
            labels = [f"{TRAIN_SETS[key][0]}\n{counts[key].iloc[0]} images" for key in TRAIN_SETS]
            for place, (key, (_, color)) in enumerate(TRAIN_SETS.items()):
                _bar(bars, place, values[key], color)
                _seeds(seeds, place, values[key], color)
            kept = values["distilled"].mean() / max(values["real"].mean(), 1e-12)
            bars.set(xlim=(0, 1), title=f"{name}: {kept:.1%} of the real images' accuracy kept")
            bars.set_yticks(range(len(TRAIN_SETS)), labels, fontsize=9)
            seeds.set(yticks=[], title="single seeds, mean ± std")
            seeds.spines["left"].set_visible(False)
            seeds.margins(x=0.12)
            for axes in (bars, seeds):
                axes.set_ylim(len(TRAIN_SETS) - 0.5, -0.5)
        grid[-1, 0].set_xlabel("accuracy on real test images")
        grid[-1, 1].set_xlabel("drawn larger: does not start at 0")
    return figure


def _bar(axes: Axes, place: int, values: np.ndarray[Any, Any], color: str) -> None:
    mean, std = values.mean(), values.std(ddof=1) if len(values) > 1 else 0.0
    axes.barh(place, mean, 0.85, xerr=std or None, color=color, capsize=3, ecolor="black")
    inside = mean > 0.6
    x, color, side = (mean - std - 0.015, "white", "right") if inside else (mean + std + 0.015, "black", "left")
    text = tables.spread(mean, std if len(values) > 1 else float("nan"))
    axes.text(x, place, text, ha=side, va="center", color=color, fontsize=9, fontweight="bold")


def _seeds(axes: Axes, place: int, values: np.ndarray[Any, Any], color: str) -> None:
    mean, std = values.mean(), values.std(ddof=1) if len(values) > 1 else 0.0
    axes.axhline(place, color="#dddddd", linewidth=0.8, zorder=0)
    axes.errorbar(mean, place, xerr=std or None, fmt="|", color="black", markersize=14, capsize=3)
    beside = place + (np.linspace(-0.2, 0.2, len(values)) if len(values) > 1 else np.zeros(1))
    axes.scatter(values, beside, s=26, color=color, edgecolor="white", linewidth=0.6, zorder=3)


def leaderboard(table: pd.DataFrame) -> Figure:
    """The paper's Fig. 4: both tracks; bars are the mean of both data sets, marks the two."""
    counts = table.groupby("track").size()
    with mpl.rc_context({**STYLE, "axes.grid.axis": "x"}):
        figure = Figure(figsize=(6, 0.28 * len(table) + 1.6), layout="constrained")
        panels = figure.subplots(len(counts), 1, sharex=True, squeeze=False, height_ratios=counts.tolist())[:, 0]
        for axes, (track, part) in zip(panels, table.groupby("track"), strict=True):
            places = np.arange(len(part))
            colors = [ORANGE if team == tables.OURS else BLUE for team in part["team"]]
            axes.barh(places, part["average"], 0.8, color=colors, alpha=0.8)
            style: dict[str, Any] = {"facecolor": "white", "edgecolor": "black", "zorder": 3, "s": 22, "linewidth": 0.8}
            axes.scatter(part["cifar100"], places, marker="o", label="CIFAR-100", **style)
            axes.scatter(part["tinyimagenet"], places, marker="^", label="TinyImageNet", **style)
            axes.set_title(f"Track {track}")
            axes.set_ylim(len(part) - 0.4, -0.6)
            for label in axes.set_yticks(places, part["team"]):
                label.label1.set_parse_math(False)
            edge = 1.04 * table[["cifar100", "tinyimagenet", "average"]].to_numpy().max()
            for place, value in zip(places, part["average"], strict=True):
                axes.text(edge, place, f"{value:.4f}", va="center", fontsize=8)
            axes.set_xlim(0, 1.15 * edge)
        panels[-1].set_xlabel("accuracy; bars and numbers: mean of both data sets")
        panels[-1].legend(loc="lower right", bbox_to_anchor=(0.86, 0))
    return figure


def per_class(classes: int) -> int:
    """How many images of each class `samples` shows: a row of them, or one where there are more than ten classes."""
    return COLUMNS if classes <= COLUMNS else 1


def samples(drawn: ImageSet, real: ImageSet) -> Figure:
    """Generated images left, real ones right, pixel by pixel.

    Up to ten classes have a row each. Of more classes each shows one image, ten to a row (the paper's Fig. 5 to 7).
    Raises UserError if a set holds no image.
    """
    names = drawn.classes[:MOST_CLASSES]
    rows = len(names) if len(names) <= COLUMNS else -(-len(names) // COLUMNS)
    ends = [min(COLUMNS * (row + 1), len(names)) - 1 for row in range(rows)]
    labels = names if len(names) <= COLUMNS else [f"{COLUMNS * row} to {end}" for row, end in enumerate(ends)]
    labels = [label if len(label) <= 16 else f"{label[:15]}…" for label in labels]
    mosaics = [_mosaic(images, len(names), rows) for images in (drawn, real)]
    width = max(mosaic.shape[1] for mosaic in mosaics)
    height = max(mosaic.shape[0] for mosaic in mosaics)
    left, top, gap, edge = 34 + 15 * max(map(len, labels)), 54, 40, 14
    full_width, full_height = left + 2 * width + gap + edge, top + height + edge
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(full_width / DPI, full_height / DPI))
        for place, (title, mosaic) in enumerate(zip(("generated", "real"), mosaics, strict=True)):
            # axes of exactly the mosaic's size: no pixel is resampled
            x, (h, w) = left + place * (width + gap), mosaic.shape[:2]
            bounds = (x / full_width, 1 - (top + h) / full_height, w / full_width, h / full_height)
            axes = figure.add_axes(bounds)
            axes.imshow(mosaic, cmap="gray", vmin=0, vmax=255, interpolation="nearest", aspect="auto")
            axes.set_axis_off()
            shown = "" if len(names) == len(drawn.classes) else f" (the first {len(names)} of {len(drawn.classes)})"
            axes.set_title(title + shown, fontsize=11, loc="left")
            if place == 0:
                for row, label in enumerate(labels):
                    y = h * (row + 0.5) / rows
                    axes.text(-12, y, label, ha="right", va="center", fontsize=9, parse_math=False)
    return figure


def _mosaic(images: ImageSet, classes: int, rows: int) -> np.ndarray[Any, Any]:
    """uint8 (rows * cell, COLUMNS * cell[, 3]), each pixel a square of whole pixels, white where there is no image."""
    if not len(images.images):
        raise UserError("a set of images to show is empty; make it again")
    channels, height, width = images.images.shape[1:]
    scale = max(1, round(64 / max(height, width)))
    line = 4
    cell_height, cell_width = scale * height + line, scale * width + line
    canvas = np.full((rows * cell_height, COLUMNS * cell_width, channels), 255, dtype=np.uint8)
    for label in range(classes):
        for column, image in enumerate(images.images[images.labels == label][: per_class(classes)].numpy()):
            row, column = (label, column) if classes <= COLUMNS else divmod(label, COLUMNS)
            square = image.transpose(1, 2, 0).repeat(scale, axis=0).repeat(scale, axis=1)  # (H, W, C)
            y, x = row * cell_height, column * cell_width
            canvas[y : y + scale * height, x : x + scale * width] = square
    return canvas if channels == 3 else canvas[:, :, 0]
