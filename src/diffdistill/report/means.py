"""The mean of several trainings on one train set."""

from typing import Any

import pandas as pd

BY_CLASS = ("macro_accuracy", "worst_class_accuracy")
"""Columns of a training beside its accuracy: mean and least of the accuracies of the classes."""


def mean_of(runs: pd.DataFrame, real: float) -> dict[str, Any]:
    """Mean and standard deviation (n - 1) of the accuracies; real: the mean accuracy on all real images, or NaN.

    std is NaN for a single run, relative_accuracy without an accuracy on real images. The means of BY_CLASS are left
    out if the runs do not have them, as those of older versions.
    """
    mean = float(runs["accuracy"].mean())
    return {
        "mean": mean,
        "std": float(runs["accuracy"].std(ddof=1)),
        "runs": len(runs),
        "relative_accuracy": mean / real if real else float("nan"),
        **{name: float(runs[name].mean()) for name in BY_CLASS if name in runs},
    }
