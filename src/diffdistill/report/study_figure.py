"""The figure of a study: accuracy by images per class, distilled and real."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from diffdistill.report import study
from diffdistill.report.style import BLUE, GREY, SKY, THOUSANDS, own_style

CURVES = {
    "real": ("real, random; the last point: all", GREY, "s"),
    "samples": ("samples, random; the last point: all", SKY, "^"),
    "distilled": ("distilled, the first images", BLUE, "o"),
}
"""By kind: label, colour and marker."""


@own_style()
def curve(runs: pd.DataFrame) -> Figure:
    """Means with standard deviations over seeds; dashed lines lead from the whole set to its real-equivalent size."""
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    ticks: list[float] = []
    for kind, (label, color, marker) in CURVES.items():
        points = study.curve(runs, kind)
        if not points:
            continue
        sizes, values = [size for size, _ in points], [accuracies for _, accuracies in points]
        means = [accuracies.mean() for accuracies in values]
        stds = [accuracies.std(ddof=1) if len(accuracies) > 1 else 0.0 for accuracies in values]
        axes.errorbar(sizes, means, stds, color=color, marker=marker, markersize=5, capsize=3, label=label)
        ticks += sizes
    _mark_size(axes, runs)
    axes.set(xscale="log", xlabel="images per class (log axis)", ylabel="accuracy on real test images")
    axes.xaxis.set_major_locator(FixedLocator(_apart(ticks)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(THOUSANDS)
    axes.legend(loc="lower right")
    return figure


def _mark_size(axes: Axes, runs: pd.DataFrame) -> None:
    if distilled := study.curve(runs, "distilled"):
        axes.axhline(distilled[-1][1].mean(), color=BLUE, linestyle="--", linewidth=0.8)
    size = study.real_equivalent_size(runs)
    if size is not None and 0 < size.value < math.inf:
        axes.axvline(size.value, color=GREY, linestyle="--", linewidth=0.8)
        if size.low > 0 and size.high < math.inf:
            axes.axvspan(size.low, size.high, color=GREY, alpha=0.12, linewidth=0)


def _apart(sizes: list[float]) -> list[float]:
    """Sizes far enough from each other for their numbers to fit side by side."""
    kept: list[float] = []
    for size in sorted(sizes):
        if not kept or np.log(size / kept[-1]) > 0.35:
            kept.append(size)
    return kept
