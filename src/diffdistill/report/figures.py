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
from matplotlib.ticker import MaxNLocator, ScalarFormatter, StrMethodFormatter

from diffdistill.errors import UserError
from diffdistill.report import tables
from diffdistill.runtime import files

DPI = 200
BLUE, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#009e73", "#8a8a8a"  # told apart by colour-blind readers too
SKY = "#56b4e9"
CURVES = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "^"), ("#cc79a7", "D"), (SKY, "v"), ("#e69f00", "P"))
TRAIN_SETS = {
    "distilled": ("generated", BLUE),
    "drawn-random": ("as many, not selected", SKY),
    "drawn": ("all that were drawn", SKY),
    "real-random": ("real, at random", GREY),
    "real": ("real, all", GREEN),
}
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

THOUSANDS = StrMethodFormatter("{x:,.0f}")
MOST_MARKERS = 30
"""A curve of more points has none: they would hide it."""


def save(figure: Figure, path: Path) -> None:
    """As pdf or png, by the path's ending."""
    metadata = {"CreationDate": None, "ModDate": None} if path.suffix == ".pdf" else {}
    with files.replacing(path) as temporary, mpl.rc_context(STYLE):
        figure.savefig(temporary, dpi=DPI, metadata=metadata)


def _curves(by_name: dict[str, pd.DataFrame]) -> Iterator[tuple[str, pd.DataFrame, str, str]]:
    """Name, table, colour and marker of every experiment, however many there are."""
    for (name, table), (color, marker) in zip(by_name.items(), cycle(CURVES), strict=False):
        yield name, table, color, marker


def fid_curve(fid: dict[str, pd.DataFrame], features: dict[str, str]) -> Figure:
    """The paper's Fig. 3. features: by experiment, what the distance is taken between; other ones have other axes.

    Of several averages of the weights, the one of the lowest distance is drawn as a line and the others are dashed.
    """
    kinds = sorted(set(features.values()))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7, 3.8 * len(kinds)), layout="constrained")
        for axes, kind in zip(figure.subplots(len(kinds), 1, squeeze=False)[:, 0], kinds, strict=True):
            for name, table, color, marker in _curves(fid):
                if features[name] != kind:
                    continue
                best = tables.lowest(table)
                label = f"{name}: lowest {tables.distance(best['fid'])} at {best['step']:,} ({best['images']:,} images)"
                shown = marker if len(table) <= MOST_MARKERS else ""
                (decay, line), *others = tables.by_length(table).items()
                label += f", EMA decay {decay}" if others else ""
                axes.plot(line["step"], line["fid"], color=color, marker=shown, label=label)
                for (decay, line), style in zip(others, cycle(("--", ":", "-.")), strict=False):
                    axes.plot(line["step"], line["fid"], style, color=color, label=f"{name}: EMA decay {decay}")
                axes.plot(best["step"], best["fid"], "o", color=color, markersize=13, fillstyle="none", clip_on=False)
            axes.set(xlabel="training iterations", ylabel=f"FID, {kind}")
            axes.set_ylim(0, 1.06 * max(table["fid"].max() for name, table in fid.items() if features[name] == kind))
            axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, steps=[1, 2, 5, 10]))
            axes.xaxis.set_major_formatter(THOUSANDS)
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0)
    return figure


def loss_curve(loss: dict[str, pd.DataFrame]) -> Figure:
    """Every logged loss, pale, and its running mean over a twentieth of the training."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7, 3.8), layout="constrained")
        axes = figure.subplots()
        for name, table, color, _ in _curves(loss):
            smooth = table["loss"].rolling(max(1, len(table) // 20), min_periods=1, center=True).mean()
            axes.plot(table["iteration"], table["loss"], color=color, alpha=0.25, linewidth=0.8)
            axes.plot(table["iteration"], smooth, color=color, label=name)
        axes.set(xlabel="training iterations", ylabel="loss (log axis)", yscale="log")
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(THOUSANDS)
        for axis in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
            axis(ScalarFormatter())
        axes.tick_params(axis="y", which="minor", labelsize=7)
        axes.legend()
    return figure


def accuracy(runs: dict[str, pd.DataFrame]) -> Figure:
    """A row an experiment: bars from 0 with the spread over seeds, and beside them the seeds on an axis drawn larger.

    runs: rows of distilled and of the baselines. Raises UserError if one is missing.
    """
    found = {name: set(table["train_set"]) for name, table in runs.items()}
    shown = {name: [key for key in TRAIN_SETS if key in keys] for name, keys in found.items()}
    heights = [len(keys) for keys in shown.values()]
    with mpl.rc_context({**STYLE, "axes.grid.axis": "x"}):
        figure = Figure(figsize=(8, 0.7 + 0.58 * sum(heights)), layout="constrained")
        grid = figure.subplots(len(runs), 2, squeeze=False, width_ratios=(3, 2), height_ratios=heights)
        for (bars, seeds), (name, table) in zip(grid, runs.items(), strict=True):
            if missing := [key for key in tables.ALWAYS if key not in found[name]]:
                raise UserError(f"results/{name}: no accuracy with train_set '{missing[0]}'; make its csv again")
            values = {key: table.loc[table["train_set"] == key, "accuracy"].to_numpy() for key in shown[name]}
            counts = {key: table.loc[table["train_set"] == key, "images"] for key in shown[name]}
            labels = [f"{TRAIN_SETS[key][0]}\n{counts[key].iloc[0]:,} images" for key in shown[name]]
            for place, key in enumerate(shown[name]):
                _bar(bars, place, values[key], TRAIN_SETS[key][1])
                _seeds(seeds, place, values[key], TRAIN_SETS[key][1])
            kept = values["distilled"].mean() / max(values["real"].mean(), 1e-12)
            bars.set_title(f"{name}: {kept:.1%} of the real images' accuracy kept")
            bars.set(xlim=(0, 1.36), xticks=np.linspace(0, 1, 6))  # numbers stand beyond 1
            bars.spines["bottom"].set_bounds(0, 1)
            bars.set_yticks(range(len(labels)), labels, fontsize=9)
            seeds.set(yticks=[], title="single seeds, mean ± std")
            seeds.spines["left"].set_visible(False)
            seeds.margins(x=0.12)
            for axes in (bars, seeds):
                axes.set_ylim(len(labels) - 0.5, -0.5)
        grid[-1, 0].set_xlabel("accuracy on real test images")
        grid[-1, 1].set_xlabel("drawn larger: does not start at 0")
    return figure


def _bar(axes: Axes, place: int, values: np.ndarray[Any, Any], color: str) -> None:
    mean, std = values.mean(), values.std(ddof=1) if len(values) > 1 else 0.0
    axes.barh(place, mean, 0.85, xerr=std or None, color=color, capsize=3, ecolor="black")
    text = tables.spread(mean, std if len(values) > 1 else float("nan"))
    axes.text(mean + std + 0.015, place, text, va="center", fontsize=9, fontweight="bold")


def _seeds(axes: Axes, place: int, values: np.ndarray[Any, Any], color: str) -> None:
    mean, std = values.mean(), values.std(ddof=1) if len(values) > 1 else 0.0
    axes.axhline(place, color="#dddddd", linewidth=0.8, zorder=0)
    axes.errorbar(mean, place, xerr=std or None, fmt="|", color="black", markersize=14, capsize=3)
    beside = place + (np.linspace(-0.2, 0.2, len(values)) if len(values) > 1 else np.zeros(1))
    axes.scatter(values, beside, s=26, color=color, edgecolor="white", linewidth=0.6, zorder=3)


def leaderboard(table: pd.DataFrame) -> Figure:
    """The paper's Fig. 4: both tracks, ours in orange; bars are the mean of both data sets, marks the two."""
    counts = table.groupby("track").size()
    edge = 1.04 * table[["cifar100", "tinyimagenet", "average"]].to_numpy().max()
    marks: dict[str, Any] = {"facecolor": "white", "edgecolor": "black", "zorder": 3, "s": 22, "linewidth": 0.8}
    with mpl.rc_context({**STYLE, "axes.grid.axis": "x"}):
        figure = Figure(figsize=(7, 0.28 * len(table) + 1.9), layout="constrained")
        panels = figure.subplots(len(counts), 1, sharex=True, squeeze=False, height_ratios=counts.tolist())[:, 0]
        for axes, (track, part) in zip(panels, table.groupby("track"), strict=True):
            places, ours = np.arange(len(part)), part["team"].to_numpy() == tables.OURS
            axes.barh(places, part["average"], 0.8, color=np.where(ours, ORANGE, BLUE), alpha=0.8)
            axes.scatter(part["cifar100"], places, marker="o", label="CIFAR-100", **marks)
            axes.scatter(part["tinyimagenet"], places, marker="^", label="TinyImageNet", **marks)
            axes.set_title(f"Track {track}")
            axes.set(xlim=(0, 1.15 * edge), ylim=(len(part) - 0.4, -0.6))
            ticks = axes.set_yticks(places, part["team"])
            for place, (tick, own, value) in enumerate(zip(ticks, ours, part["average"], strict=True)):
                style = {"color": ORANGE, "fontweight": "bold"} if own else {"color": "black"}
                tick.label1.set(parse_math=False, **style)
                axes.text(edge, place, f"{value:.4f}", va="center", fontsize=8, **style)
        panels[-1].set_xlabel("accuracy; bars and numbers: mean of both data sets")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper right", ncols=2)
    return figure
