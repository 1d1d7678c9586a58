"""The figure of a study: accuracy by the number of images a class, generated and real."""

import math

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from diffdistill.report import study
from diffdistill.report.figures import BLUE, GREY, SKY, STYLE, THOUSANDS


def curve(runs: pd.DataFrame) -> Figure:
    """Means with standard deviations over seeds; the dashed line is the whole distilled set, down to its worth."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7, 4.2), layout="constrained")
        axes = figure.subplots()
        ticks = []
        for kind, label, color, marker in (
            ("real", "real, at random; the last point: all", GREY, "s"),
            ("drawn", "generated, at random; the last point: all", SKY, "^"),
            ("distilled", "generated, the first ones", BLUE, "o"),
        ):
            points = study.curve(runs, kind)
            if not points:
                continue
            sizes, values = [size for size, _ in points], [accuracies for _, accuracies in points]
            means = [accuracies.mean() for accuracies in values]
            stds = [accuracies.std(ddof=1) if len(accuracies) > 1 else 0.0 for accuracies in values]
            axes.errorbar(sizes, means, stds, color=color, marker=marker, markersize=5, capsize=3, label=label)
            ticks += sizes
        whole, worth = means[-1], study.worth(runs)
        axes.axhline(whole, color=BLUE, linestyle="--", linewidth=0.8)
        if worth is not None and 0 < worth.value < math.inf:
            axes.axvline(worth.value, color=GREY, linestyle="--", linewidth=0.8)
            if worth.low > 0 and worth.high < math.inf:
                axes.axvspan(worth.low, worth.high, color=GREY, alpha=0.12, linewidth=0)
        axes.set(xscale="log", xlabel="images a class (log axis)", ylabel="accuracy on real test images")
        axes.xaxis.set_major_locator(FixedLocator(_apart(ticks)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(THOUSANDS)
        axes.legend(loc="lower right")
    return figure


def _apart(sizes: list[float]) -> list[float]:
    """Sizes far enough from one another for their numbers to stand side by side."""
    kept: list[float] = []
    for size in sorted(sizes):
        if not kept or np.log(size / kept[-1]) > 0.35:
            kept.append(size)
    return kept
