"""What readers see of a comparison: its tables, its figure and its page."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from diffdistill.report import columns
from diffdistill.report.comparison import COLUMNS, Member
from diffdistill.report.html import grid_of, picture, template
from diffdistill.report.means import mean_of
from diffdistill.report.style import BLUE, GREY, own_style

SIZE = ("set", "images_per_class", "images", "images_share", "bytes", "generator_bytes")


def parted(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The sets that compare, and those that do not; with all columns, so that none has to be asked for."""
    whole = table.reindex(columns=list(COLUMNS))
    apart = whole["not_compared"].notna()
    return whole[~apart], whole[apart]


def views(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """By title: accuracies, why some sets do not compare, and what all of them are; no column or table is empty."""
    compared, others = parted(table)
    best = compared["mean"].idxmax()
    accuracies = [
        _accuracy(row) | {"difference": "best" if index == best else _interval(row), "seeds": row["seeds"]}
        for index, row in compared.iterrows()
    ]
    reasons = [_accuracy(row) | {"reason": row["not_compared"]} for _, row in others.iterrows()]
    rows = [row for part in (compared, others) for _, row in part.iterrows()]
    found: dict[str, list[dict[str, Any]]] = {
        "Accuracy": accuracies,
        "Not compared": reasons,
        "Size": [{key: row[key] for key in SIZE} for row in rows],
        "Time and quality": [_quality(row) for row in rows],
    }
    return {title: pd.DataFrame(rows).dropna(axis="columns", how="all") for title, rows in found.items() if rows}


def _accuracy(row: "pd.Series[Any]") -> dict[str, Any]:
    both = columns.mean_std(row["mean"], row["std"])
    return {"set": row["set"], "accuracy": both, "runs": row["runs"], "relative_accuracy": row["relative_accuracy"]}


def _interval(row: "pd.Series[Any]") -> str | None:
    """-0.3000 (-1.5706 to +0.9706); of one seed without an interval."""
    mean, low, high = (
        None if pd.isna(row[key]) else columns.difference(row[key])
        for key in ("difference", "difference_low", "difference_high")
    )
    return mean if low is None else f"{mean} ({low} to {high})"


def _quality(row: "pd.Series[Any]") -> dict[str, Any]:
    sampled = None if pd.isna(row["seconds"]) else columns.duration(row["seconds"])
    measured = {key: row[key] for key in ("fid", "fid_images", "label_agreement", "audit")}
    return {"set": row["set"], "training_seconds": row["training_seconds"], "sampling time": sampled, **measured}


def texts(table: pd.DataFrame) -> dict[str, str]:
    """By ending: csv of all numbers in one table; md and tex of what readers see, one table below the other."""
    parts = {title: columns.texts(part) for title, part in views(table).items()}
    return {
        "csv": columns.texts(table)["csv"],
        "md": "\n".join(f"{title}:\n\n{part['md']}" for title, part in parts.items()),
        "tex": "\n".join(f"% {title}\n{part['tex']}" for title, part in parts.items()),
    }


@own_style(**{"axes.grid.axis": "x"})
def figure(members: Sequence[Member], table: pd.DataFrame) -> Figure:
    """Accuracy of the sets that compare: mean, standard deviation, and a dot per seed; the best one is blue."""
    compared = parted(table)[0].sort_values("mean", kind="stable")
    runs: Mapping[str, pd.DataFrame] = {one.name: one.runs for one in members}
    drawn = Figure(figsize=(7, 1 + 0.4 * len(compared)), layout="constrained")
    axes = drawn.subplots()
    for place, row in enumerate(compared.to_dict("records")):
        color = BLUE if place == len(compared) - 1 else GREY
        spread = None if pd.isna(row["std"]) else row["std"]
        axes.errorbar(row["mean"], place, xerr=spread, fmt="s", color=color, capsize=3)
        accuracy = runs[row["set"]]["accuracy"]
        axes.plot(accuracy, [place + 0.2] * len(accuracy), ".", color=color, alpha=0.6)
    axes.set_yticks(range(len(compared)), compared["set"])
    axes.set(xlabel="accuracy on real test images", ylim=(-0.6, len(compared) - 0.4))
    return drawn


def page(name: str, members: Sequence[Member], table: pd.DataFrame, png: Path) -> str:
    """HTML, self-contained. Raises UserError if the picture is missing."""
    compared = set(parted(table)[0]["set"])
    first = next(one for one in members if one.name in compared)
    all_real = mean_of(first.real_runs, float("nan"))
    protocol = {key: value for key, value in json.loads(first.way.protocol).items() if value is not None}
    caption = "Mean and standard deviation over seeds; a dot is one seed."
    return template("comparison.html").render(
        name=name,
        grids=[grid_of(title, part) for title, part in views(table).items()],
        figure=picture(png, "Accuracy of each set that compares", caption),
        protocol=", ".join(f"{key} {value}" for key, value in protocol.items()),
        real_images=f"{first.real.images:,}",
        real_bytes=columns.size(first.real.bytes),
        real_accuracy=columns.mean_std(all_real["mean"], all_real["std"]),
    )
