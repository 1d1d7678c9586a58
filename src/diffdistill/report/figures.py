"""The figures of results; which figures there are is in `parts`."""

from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, ScalarFormatter

from diffdistill.report import columns, excerpt, mosaics, tables
from diffdistill.report.results import Experiment
from diffdistill.report.style import BLUE, GREEN, ORANGE, PINK, SKY, THOUSANDS, YELLOW, own_style
from diffdistill.report.train_sets import TRAIN_SETS

CURVES = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "^"), (PINK, "D"), (SKY, "v"), (YELLOW, "P"))
MOST_MARKERS = 30
"""A curve of more points has no markers."""
ALONG_X = {"axes.grid.axis": "x"}


def features(experiments: Sequence[Experiment]) -> dict[str, str]:
    """The features of each experiment's FID; a classifier is named by the first experiment that uses it."""
    owners: dict[str, str] = {}
    described = {}
    for experiment in experiments:
        assert experiment.fid is not None
        row = experiment.fid.iloc[0]
        described[experiment.name] = f"{row['features']} features"
        if row["features"] == "classifier":
            network = str(row.get("features_sha256", experiment.name))
            described[experiment.name] += f" ({owners.setdefault(network, experiment.name)})"
    return described


def _curves(experiments: Sequence[Experiment]) -> Iterator[tuple[Experiment, str, str]]:
    """Experiment, colour and marker, for any number of experiments."""
    for experiment, (color, marker) in zip(experiments, cycle(CURVES), strict=False):
        yield experiment, color, marker


@own_style()
def fid_curve(experiments: Sequence[Experiment]) -> Figure:
    """The paper's Fig. 3, with axes of their own for each kind of features.

    Of several EMAs, the one with the lowest FID is a solid line and the others are dashed.
    """
    described = features(experiments)
    kinds = sorted(set(described.values()))
    figure = Figure(figsize=(7, 3.8 * len(kinds)), layout="constrained")
    panels = dict(zip(kinds, figure.subplots(len(kinds), 1, squeeze=False)[:, 0], strict=True))
    highest = dict.fromkeys(kinds, 0.0)
    for experiment, color, marker in _curves(experiments):
        table, kind = experiment.fid, described[experiment.name]
        assert table is not None
        _fid_lines(panels[kind], experiment.name, table, color, marker)
        highest[kind] = max(highest[kind], float(table["fid"].max()))
    for kind, axes in panels.items():
        axes.set(xlabel="training iteration", ylabel=f"FID, {kind}")
        axes.set_ylim(0, 1.06 * highest[kind] or 1)
        _by_iteration(axes)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0)
    return figure


def _fid_lines(axes: Axes, name: str, table: pd.DataFrame, color: str, marker: str) -> None:
    best = tables.lowest(table)
    lowest = f"{columns.distance(best['fid'])} at {best['step']:,} ({best['images']:,} images)"
    (decay, line), *others = tables.by_ema(table).items()
    label = f"{name}: lowest {lowest}" + (f", EMA decay {decay}" if others else "")
    shown = marker if len(table) <= MOST_MARKERS else ""
    axes.plot(line["step"], line["fid"], color=color, marker=shown, label=label)
    for (decay, line), style in zip(others, cycle(("--", ":", "-.")), strict=False):
        axes.plot(line["step"], line["fid"], style, color=color, label=f"{name}: EMA decay {decay}")
    axes.plot(best["step"], best["fid"], "o", color=color, markersize=13, fillstyle="none", clip_on=False)


def _by_iteration(axes: Axes) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(THOUSANDS)


@own_style()
def loss_curve(experiments: Sequence[Experiment]) -> Figure:
    """Every logged loss, pale, and its running mean over a twentieth of the training."""
    figure = Figure(figsize=(7, 3.8), layout="constrained")
    axes = figure.subplots()
    for experiment, color, _ in _curves(experiments):
        table = experiment.loss
        assert table is not None
        smooth = table["loss"].rolling(max(1, len(table) // 20), min_periods=1, center=True).mean()
        axes.plot(table["iteration"], table["loss"], color=color, alpha=0.25, linewidth=0.8)
        axes.plot(table["iteration"], smooth, color=color, label=experiment.name)
    axes.set(xlabel="training iteration", ylabel="loss (log axis)", yscale="log")
    _by_iteration(axes)
    for set_formatter in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
        set_formatter(ScalarFormatter())
    axes.tick_params(axis="y", which="minor", labelsize=7)
    axes.legend()
    return figure


@own_style(**ALONG_X)
def accuracy(experiments: Sequence[Experiment]) -> Figure:
    """A row per experiment: bars from 0 with the standard deviation over seeds, and the single seeds enlarged."""
    runs = {experiment.name: experiment.runs for experiment in experiments}
    sets = {name: [key for key in TRAIN_SETS if key in set(table["train_set"])] for name, table in runs.items()}
    heights = [len(keys) for keys in sets.values()]
    figure = Figure(figsize=(8, 0.7 + 0.58 * sum(heights)), layout="constrained")
    grid = figure.subplots(len(runs), 2, squeeze=False, width_ratios=(3, 2), height_ratios=heights)
    for (bars, seeds), (name, table) in zip(grid, runs.items(), strict=True):
        parts = {key: table[table["train_set"] == key] for key in sets[name]}
        labels = [f"{TRAIN_SETS[key].label}\n{part['images'].iloc[0]:,} images" for key, part in parts.items()]
        for place, (key, part) in enumerate(parts.items()):
            values = part["accuracy"].to_numpy()
            _bar(bars, place, values, TRAIN_SETS[key].color)
            _seeds(seeds, place, values, TRAIN_SETS[key].color)
        bars.set_title(_title(name, parts))
        bars.set(xlim=(0, 1.36), xticks=np.linspace(0, 1, 6))  # numbers stand beyond 1
        bars.spines["bottom"].set_bounds(0, 1)
        bars.set_yticks(range(len(labels)), labels, fontsize=9)
        seeds.set(yticks=[], title="single seeds, mean ± std")
        seeds.spines["left"].set_visible(False)
        seeds.margins(x=0.12)
        for axes in (bars, seeds):
            axes.set_ylim(len(labels) - 0.5, -0.5)
    grid[-1, 0].set_xlabel("accuracy on real test images")
    grid[-1, 1].set_xlabel("enlarged: does not start at 0")
    return figure


def _title(name: str, parts: dict[str, pd.DataFrame]) -> str:
    real = parts["real"]["accuracy"].mean() if "real" in parts else 0
    if not real or "distilled" not in parts:
        return name
    return f"{name}: relative accuracy {parts['distilled']['accuracy'].mean() / real:.1%}"


def _bar(axes: Axes, place: int, values: np.ndarray[Any, Any], color: str) -> None:
    mean, std = values.mean(), values.std(ddof=1) if len(values) > 1 else 0.0
    axes.barh(place, mean, 0.85, xerr=std or None, color=color, capsize=3, ecolor="black")
    text = columns.mean_std(mean, std if len(values) > 1 else float("nan"))
    axes.text(mean + std + 0.015, place, text, va="center", fontsize=9, fontweight="bold")


def _seeds(axes: Axes, place: int, values: np.ndarray[Any, Any], color: str) -> None:
    mean, std = values.mean(), values.std(ddof=1) if len(values) > 1 else 0.0
    axes.axhline(place, color="#dddddd", linewidth=0.8, zorder=0)
    axes.errorbar(mean, place, xerr=std or None, fmt="|", color="black", markersize=14, capsize=3)
    beside = place + (np.linspace(-0.2, 0.2, len(values)) if len(values) > 1 else np.zeros(1))
    axes.scatter(values, beside, s=26, color=color, edgecolor="white", linewidth=0.6, zorder=3)


@own_style(**ALONG_X)
def leaderboard(table: pd.DataFrame) -> Figure:
    """The paper's Fig. 4: both tracks, ours in orange; bars are the mean of both data sets, marks the two."""
    counts = table.groupby("track").size()
    edge = 1.04 * table[["cifar100", "tinyimagenet", "average"]].to_numpy().max()
    marks: dict[str, Any] = {"facecolor": "white", "edgecolor": "black", "zorder": 3, "s": 22, "linewidth": 0.8}
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


def samples(experiment: Experiment) -> Figure:
    """A row per class: samples left, real train images right. Raises UserError if their classes differ."""
    generated, real = experiment.samples, experiment.real
    assert generated is not None
    classes = mosaics.rows_shown(generated.per_class)
    sets = [excerpt.first_images(facts.path, classes, mosaics.COLUMNS) for facts in (generated, real)]
    return mosaics.samples(sets[0], sets[1], real.titles, classes)


def classes(experiment: Experiment) -> Figure:
    """The first sample of each class."""
    assert experiment.samples is not None
    shown = excerpt.evenly_spaced(len(experiment.real.titles), mosaics.MOST_CLASSES)
    return mosaics.one_of_each(excerpt.first_images(experiment.samples.path, shown, 1), experiment.real.titles)
