import pandas as pd
import pytest

from diffdistill.report import study_figure
from tests.report.test_study import rows, runs


def test_a_curve_for_each_kind_that_was_measured() -> None:
    axes = study_figure.curve(runs()).axes[0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "real, random; the last point: all", "distilled, the first images",
    ]  # fmt: skip
    samples = pd.DataFrame(rows("main", "main", "all-samples", 3000, 0.6))
    assert len(study_figure.curve(pd.concat([runs(), samples])).axes[0].get_legend().get_texts()) == 3


@pytest.mark.parametrize("kept", ["distilled", "real"])
def test_one_kind_alone_is_shown(kept: str) -> None:
    table = runs()
    axes = study_figure.curve(table[table["train_set"] == kept]).axes[0]
    assert len(axes.get_legend().get_texts()) == 1 and axes.get_xscale() == "log"


def test_the_dashed_line_leads_to_the_real_equivalent_size() -> None:
    lines = [line for line in study_figure.curve(runs()).axes[0].get_lines() if line.get_linestyle() == "--"]
    assert next(line.get_ydata()[0] for line in lines) == pytest.approx(0.6)
    assert list(lines[1].get_xdata()) == pytest.approx([10, 10])
