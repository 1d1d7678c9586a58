"""What the table of a study says: means, the real-equivalent size, scores, and where the variance comes from."""

import math
from typing import Any

import pandas as pd

from diffdistill.data.raw import Array
from diffdistill.metrics import scores
from diffdistill.report.columns import mean_std
from diffdistill.report.means import mean_of

COLUMNS = (
    "experiment", "ablation", "axis", "train_set", "architecture", "labels", "resampling", "images",
    "images_per_class", "seed", "accuracy", "epochs", "steps", "seconds",
)  # fmt: skip
"""Of study.csv, a row per training; the ablation `main` is the main evaluation."""
SIZE_AXES = ("main", "size", "budget")
Row = tuple[str, str, str, str]


def means(runs: pd.DataFrame) -> pd.DataFrame:
    """A row per ablation and train set.

    relative_accuracy refers to all real images in the same ablation, or in `main` if it has none.
    """
    on_real = runs[runs["train_set"] == "real"].groupby("ablation")["accuracy"].mean().to_dict()
    rows = []
    for (ablation, train_set), part in runs.groupby(["ablation", "train_set"], sort=False):
        rows.append(
            {
                "ablation": ablation,
                "train_set": train_set,
                "architecture": part["architecture"].iloc[0],
                "labels": part["labels"].iloc[0],
                "steps": int(part["steps"].iloc[0]),
                "images": int(part["images"].iloc[0]),
                **mean_of(part, on_real.get(ablation, on_real.get("main", math.nan))),
            }
        )
    return pd.DataFrame(rows)


def curve(runs: pd.DataFrame, kind: str) -> list[tuple[float, Array]]:
    """(images per class, accuracies of the seeds), rising; kind: distilled, real or samples.

    For `distilled` the first images of the set; the others are random, up to all that exist.
    """
    names = {"real": ("real", "real-random"), "samples": ("all-samples", "random-samples")}.get(kind, (kind,))
    same = (runs["architecture"] == "convnet") & (runs["labels"] == "hard") & runs["axis"].isin(SIZE_AXES)
    part = runs[same & runs["train_set"].isin(names)].drop_duplicates(["images", "seed"])
    sizes = sorted(part["images_per_class"].unique())
    return [(float(size), part.loc[part["images_per_class"] == size, "accuracy"].to_numpy()) for size in sizes]


def real_equivalent_size(runs: pd.DataFrame) -> scores.RealEquivalentSize | None:
    """Of the whole distilled set; None if real sets of fewer than two sizes were measured."""
    sizes, distilled = curve(runs, "real"), _values(runs, "distilled")
    if len(sizes) < 2 or not len(distilled):
        return None
    return scores.real_equivalent_size([size for size, _ in sizes], [values for _, values in sizes], distilled)


def findings(runs: pd.DataFrame) -> pd.DataFrame:
    """measure, finding, uncertainty, note: all text, because what lies outside the measured range has no number."""
    rows = [*_size(runs), *_lead(runs), *_scores(runs), *_variance(runs)]
    return pd.DataFrame(rows, columns=["measure", "finding", "uncertainty", "note"])


def _values(runs: pd.DataFrame, train_set: str, ablation: str = "main") -> Array:
    part = runs[(runs["ablation"] == ablation) & (runs["train_set"] == train_set)]
    return part["accuracy"].to_numpy()


def _rival(runs: pd.DataFrame) -> str:
    """What `real-random` is; a set that stores several images as one faces fewer real images than it has."""
    images = runs[runs["ablation"] == "main"].groupby("train_set")["images"].first()
    if images["real-random"] == images.get("real"):
        return "all real images, because the distilled set is at least as large"
    return f"{images['real-random']:,} random real images"


def _size(runs: pd.DataFrame) -> list[Row]:
    size = real_equivalent_size(runs)
    if size is None:
        return []
    measured = [images for images, _ in curve(runs, "real")]

    def text(value: float) -> str:
        if value in (0, math.inf):
            return f"more than {max(measured):,.0f}" if value else f"fewer than {min(measured):,.0f}"
        return f"{value:,.0f}"

    interval = "a single seed" if math.isnan(size.low) else f"95 % interval: {text(size.low)} to {text(size.high)}"
    note = f"measured with {', '.join(f'{images:,.0f}' for images in measured)} real images per class"
    return [("real-equivalent size, images per class", text(size.value), interval, note)]


def _lead(runs: pd.DataFrame) -> list[Row]:
    rows: list[Row] = []
    for ablation, labels in (("main", "hard"), ("soft", "soft")):
        distilled, random = (_values(runs, train_set, ablation) for train_set in ("distilled", "real-random"))
        if len(distilled) and len(random):
            lead = f"{distilled.mean() - random.mean():+.4f}"
            error = math.hypot(_error(distilled), _error(random))
            rows.append((f"lead over random real images, {labels} labels", lead, _standard_error(error), _rival(runs)))
    return rows


def _scores(runs: pd.DataFrame) -> list[Row]:
    sets = [_values(runs, train_set) for train_set in ("distilled", "real-random", "real")]
    if not all(map(len, sets)):
        return []
    distilled, random, real = (float(values.mean()) for values in sets)
    equal = f"{scores.label_robust(1, 1, 1):.4f} if the set equals its baselines"
    rows: list[Row] = [("LRS, label-robust score", f"{scores.label_robust(real, distilled, random):.4f}", "", equal)]
    plain = [_values(runs, train_set, "no-augmentation") for train_set in ("distilled", "real-random")]
    if all(map(len, plain)):
        score = scores.augmentation_robust(distilled, random, *(float(values.mean()) for values in plain))
        rows.append(("ARS, augmentation-robust score", f"{score:.4f}", "", equal))
    return rows


def _error(values: Array) -> float:
    """Standard error of a mean; NaN for a single value."""
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan


def _standard_error(error: float) -> str:
    return "a single seed" if math.isnan(error) else f"standard error {error:.4f}"


def _variance(runs: pd.DataFrame) -> list[Row]:
    """Between resampled sets, of which the main one is the first, and between trainings on one set."""
    resampled = runs[runs["axis"] == "resampling"]
    main: Any = runs[(runs["ablation"] == "main") & (runs["train_set"] == "distilled")]
    if resampled.empty or main.empty:
        return []
    by_set = pd.concat([main, resampled]).pivot(index="ablation", columns="seed", values="accuracy").to_numpy()
    split = scores.variance_split(by_set)
    sets, trainings = by_set.shape
    note = f"{sets} sets of {int(main['images'].iloc[0]):,} images, {trainings} trainings on each"
    return [
        ("mean over resampled sets", f"{split.mean:.4f}", _standard_error(split.standard_error), note),
        ("variation between resampled sets", mean_std(split.generation, math.nan), "standard deviation", note),
        ("variation between trainings", mean_std(split.training, math.nan), "standard deviation", note),
    ]
