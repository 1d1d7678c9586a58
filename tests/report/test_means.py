import math

import pandas as pd
import pytest

from diffdistill.report.means import mean_of


def test_mean_standard_deviation_and_relative_accuracy() -> None:
    runs = pd.DataFrame({"accuracy": [0.4, 0.5]})
    found = mean_of(runs, 0.9)
    assert found["mean"] == pytest.approx(0.45) and found["std"] == pytest.approx(0.05 * 2**0.5)
    assert found["relative_accuracy"] == pytest.approx(0.5) and found["runs"] == 2
    assert math.isnan(mean_of(runs[:1], 0.0)["relative_accuracy"]) and math.isnan(mean_of(runs[:1], 1.0)["std"])


def test_accuracies_by_class_are_means_over_runs() -> None:
    runs = pd.DataFrame({"accuracy": [0.4, 0.5], "macro_accuracy": [0.3, 0.5], "worst_class_accuracy": [0.0, 0.1]})
    found = mean_of(runs, 0.9)
    assert found["macro_accuracy"] == pytest.approx(0.4) and found["worst_class_accuracy"] == pytest.approx(0.05)
    assert "macro_accuracy" not in mean_of(runs[["accuracy"]], 0.9)
