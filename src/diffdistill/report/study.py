"""What a study's table says: means beside their rivals, what the set is worth, and where its spread comes from."""

import math
from typing import Any

import pandas as pd

from diffdistill.metrics import scores
from diffdistill.metrics.frechet import Array
from diffdistill.report.tables import ALWAYS, mean_of, spread

COLUMNS = (
    "dataset", "family", "part", "train_set", "student", "labels", "round", "images", "images_per_class", "seed",
    "accuracy", "epochs", "steps", "seconds",
)  # fmt: skip
"""Of study.csv; a row a training. `family`: what was varied; `main`: nothing."""


def means(runs: pd.DataFrame) -> pd.DataFrame:
    """A row a family and training set; kept: the share of the mean on all real images in that family, or in main."""
    on_real = runs[runs["train_set"] == "real"].groupby("family")["accuracy"].mean().to_dict()
    rows = []
    for (family, train_set), part in runs.groupby(["family", "train_set"], sort=False):
        rows.append(
            {
                "varied": family,
                "train_set": train_set,
                "student": part["student"].iloc[0],
                "labels": part["labels"].iloc[0],
                "steps": int(part["steps"].iloc[0]),
                **mean_of(part, on_real.get(family, on_real["main"])),
            }
        )
    return pd.DataFrame(rows)


def curve(runs: pd.DataFrame, kind: str) -> list[tuple[float, Array]]:
    """(images a class, accuracies of the seeds), rising; kind: distilled, the set's first images; real; drawn.

    The latter two are random ones, and their last point is all that there are. Without a selection nothing is drawn.
    """
    alike = (runs["student"] == "convnet") & (runs["labels"] == "hard") & runs["part"].isin(("main", "size", "budget"))
    part = runs[alike & (runs["train_set"].str.removesuffix("-random") == kind)].drop_duplicates(["images", "seed"])
    sizes = sorted(part["images_per_class"].unique())
    return [(float(size), part.loc[part["images_per_class"] == size, "accuracy"].to_numpy()) for size in sizes]


def worth(runs: pd.DataFrame) -> scores.Worth | None:
    """What the whole distilled set is worth in real images a class; None where one size of real sets was measured."""
    sizes = curve(runs, "real")
    if len(sizes) < 2:
        return None
    return scores.worth([size for size, _ in sizes], [values for _, values in sizes], _values(runs, "distilled"))


def findings(runs: pd.DataFrame) -> pd.DataFrame:
    """measure, value, uncertainty, note; all text, for what is beyond the curve has no number."""
    rows = [*_worth(runs), *_scores(runs), *_split(runs)]
    return pd.DataFrame(rows, columns=["measure", "value", "uncertainty", "note"])


Row = tuple[str, str, str, str]


def _values(runs: pd.DataFrame, train_set: str, family: str = "main") -> Array:
    part = runs[(runs["family"] == family) & (runs["train_set"] == train_set)]
    return part["accuracy"].to_numpy()


def _worth(runs: pd.DataFrame) -> list[Row]:
    found = worth(runs)
    if found is None:
        return []
    sizes = [size for size, _ in curve(runs, "real")]

    def said(value: float) -> str:
        if value in (0, math.inf):
            return f"more than {max(sizes):,.0f}" if value else f"fewer than {min(sizes):,.0f}"
        return f"{value:,.0f}"

    interval = (
        f"95 % interval: {said(found.low)} to {said(found.high)}" if not math.isnan(found.low) else "a single seed"
    )
    return [("worth, in real images a class", said(found.value), interval, f"real sets of {_list(sizes)} measured")]


def _list(sizes: list[float]) -> str:
    return ", ".join(f"{size:,.0f}" for size in sizes)


def _scores(runs: pd.DataFrame) -> list[Row]:
    rows: list[Row] = []
    main = runs[runs["family"] == "main"]
    images = {train_set: int(main.loc[main["train_set"] == train_set, "images"].iloc[0]) for train_set in ALWAYS}
    capped = images["real-random"] < images["distilled"]
    rival = "all real images: there are fewer than generated ones" if capped else "as many real images, at random"
    for family, labels in (("main", "hard"), ("soft", "soft")):
        generated, drawn = (_values(runs, train_set, family) for train_set in ALWAYS[:2])
        if len(generated):
            error = math.hypot(_error(generated), _error(drawn))
            lead = f"{generated.mean() - drawn.mean():+.4f}"
            rows.append((f"lead over random real images, {labels} labels", lead, _standard_error(error), rival))
    ours, random, real = (float(_values(runs, train_set).mean()) for train_set in ALWAYS)
    equal = f"{scores.label_robust(1, 1, 1):.4f} would be equal to its rivals"
    rows.append(("LRS, label-robust score", f"{scores.label_robust(real, ours, random):.4f}", "", equal))
    plain = [_values(runs, train_set, "no-augmentation") for train_set in ALWAYS[:2]]
    if len(plain[0]):
        score = scores.augmentation_robust(ours, random, *(float(values.mean()) for values in plain))
        rows.append(("ARS, augmentation-robust score", f"{score:.4f}", "", equal))
    return rows


def _error(values: Array) -> float:
    """Standard error of a mean; not a number of a single value."""
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan


def _standard_error(error: float) -> str:
    return "a single seed" if math.isnan(error) else f"standard error {error:.4f}"


def _split(runs: pd.DataFrame) -> list[Row]:
    """The main set is one of those drawn."""
    rounds = runs[runs["part"] == "round"]
    if rounds.empty:
        return []
    main: Any = runs[(runs["family"] == "main") & (runs["train_set"] == "distilled")]
    by_set = pd.concat([main, rounds]).pivot(index="family", columns="seed", values="accuracy").to_numpy()
    found = scores.variance_split(by_set)
    sets, trainings = by_set.shape
    note = f"{sets} sets of {int(main['images'].iloc[0]):,} images, {trainings} trainings on each"
    return [
        ("mean over sets drawn anew", f"{found.mean:.4f}", _standard_error(found.standard_error), note),
        ("spread by the set that was drawn", spread(found.generation, math.nan), "standard deviation", note),
        ("spread by the training", spread(found.training, math.nan), "standard deviation", note),
    ]
