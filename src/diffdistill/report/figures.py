"""The figures of results; made twice they are the same bytes, for nothing in them tells the date."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from diffdistill.data.images import ImageSet
from diffdistill.runtime import files

BLUE, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#009e73", "#9a9a9a"  # told apart by colour-blind readers too
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.25,
    "pdf.fonttype": 42,
    "svg.hashsalt": "diffdistill",
}


def save(figure: Figure, path: Path) -> None:
    """As pdf or png, by the path's ending."""
    metadata = {"CreationDate": None, "ModDate": None} if path.suffix == ".pdf" else {}
    with files.replacing(path) as temporary, mpl.rc_context(STYLE):
        figure.savefig(temporary, dpi=200, metadata=metadata, bbox_inches="tight")


def fid_curve(fid: dict[str, pd.DataFrame]) -> Figure:
    """The paper's Fig. 3."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5.5, 3.4))
        axes = figure.subplots()
        for (name, table), color in zip(fid.items(), (BLUE, ORANGE, GREEN), strict=False):
            axes.plot(table["step"], table["fid"], "o-", color=color, label=name)
            best = table.sort_values(["fid", "step"]).iloc[0]
            label = f"{best['fid']:.2f}"
            axes.annotate(label, (best["step"], best["fid"]), xytext=(0, 8), textcoords="offset points", ha="center")
        first = next(iter(fid.values())).iloc[0]
        axes.set(xlabel="training iterations", ylabel=f"FID ({first['features']}, {first['images']} images)")
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False)
    return figure


def loss_curve(loss: dict[str, pd.DataFrame]) -> Figure:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5.5, 3.4))
        axes = figure.subplots()
        for (name, table), color in zip(loss.items(), (BLUE, ORANGE, GREEN), strict=False):
            smooth = table["loss"].rolling(max(1, len(table) // 20), min_periods=1, center=True).mean()
            axes.plot(table["iteration"], table["loss"], color=color, alpha=0.25, linewidth=0.8)
            axes.plot(table["iteration"], smooth, color=color, label=name)
        axes.set(xlabel="training iterations", ylabel="loss", yscale="log")
        axes.legend(frameon=False)
    return figure


def accuracy(runs: dict[str, pd.DataFrame]) -> Figure:
    """Bars from 0 with the spread over seeds; every seed is a dot. runs: rows of distilled and both baselines."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(1.2 + 2.9 * len(runs), 3.6))
        axes = figure.subplots()
        kinds = (("distilled", BLUE), ("real-random", GREY), ("real", GREEN))
        for place, table in enumerate(runs.values()):
            for offset, (train_set, color) in enumerate(kinds):
                values = table[table["train_set"] == train_set]["accuracy"].to_numpy()
                x = place * 4 + offset
                spread = values.std(ddof=1) if len(values) > 1 else 0.0
                label = train_set if place == 0 else None
                axes.bar(x, values.mean(), 0.85, yerr=spread, color=color, label=label, capsize=4, alpha=0.85)
                axes.plot(np.full(len(values), x), values, ".", color="black", markersize=4)
                axes.text(x, 0.03, f"{values.mean():.3f}", ha="center", color="white", fontweight="bold")
        axes.set(ylabel="accuracy on real test images", ylim=(0, 1.02))
        axes.set_xticks([place * 4 + 1 for place in range(len(runs))], list(runs))
        axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=3)
    return figure


def leaderboard(table: pd.DataFrame) -> Figure:
    """The paper's Fig. 4: both tracks, average of both data sets."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.5, 3.6))
        for axes, (track, part) in zip(figure.subplots(1, 2), table.groupby("track"), strict=True):
            ours = part["team"].str.contains("ours")
            axes.barh(part["team"], part["average"], color=[ORANGE if mark else BLUE for mark in ours])
            axes.invert_yaxis()
            axes.set(title=f"Track {track}", xlabel="mean accuracy of both data sets", xlim=(0, 0.42))
            for place, value in enumerate(part["average"]):
                axes.text(value + 0.005, place, f"{value:.3f}", va="center", fontsize=8)
        figure.tight_layout()
    return figure


def samples(drawn: ImageSet, real: ImageSet, columns: int = 10) -> Figure:
    """Generated images left, real ones right, a row a class (the first ten classes)."""
    with mpl.rc_context({**STYLE, "axes.grid": False}):
        classes = min(10, len(drawn.classes))
        figure = Figure(figsize=(8.2, 0.42 * classes + 0.5))
        for axes, (title, images) in zip(figure.subplots(1, 2), (("generated", drawn), ("real", real)), strict=True):
            rows = []
            for label in range(classes):
                members = images.images[images.labels == label][:columns].numpy()
                blank = np.full((columns - len(members), *members.shape[1:]), 255, dtype=np.uint8)
                padded = np.pad(np.concatenate([members, blank]), ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=255)
                rows.append(np.concatenate(list(padded), axis=2))  # (C, H + 2, columns * (W + 2))
            grid = np.concatenate(rows, axis=1).transpose(1, 2, 0)  # (rows, columns, C)
            axes.imshow(grid if grid.shape[2] == 3 else grid[:, :, 0], cmap="gray", interpolation="nearest")
            axes.set_title(title)
            axes.spines[:].set_visible(False)
            side = grid.shape[0] / classes
            axes.set_xticks([])
            axes.set_yticks([side * (row + 0.5) for row in range(classes)], drawn.classes[:classes])
            axes.tick_params(length=0)
        figure.tight_layout()
    return figure
