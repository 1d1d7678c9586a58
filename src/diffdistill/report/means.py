"""The mean of several trainings on one train set."""

from typing import Any

import pandas as pd


def mean_of(runs: pd.DataFrame, real: float) -> dict[str, Any]:
    """Mean and standard deviation (n - 1) of the accuracies; real: the mean accuracy on all real images, or NaN.

    std is NaN for a single run, relative_accuracy without an accuracy on real images.
    """
    mean = float(runs["accuracy"].mean())
    return {
        "mean": mean,
        "std": float(runs["accuracy"].std(ddof=1)),
        "runs": len(runs),
        "relative_accuracy": mean / real if real else float("nan"),
    }
