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
