"""What readers see: every promised column in one of a few narrow tables, and what does not compare by itself."""

from pathlib import Path

import pandas as pd
import pytest

from diffdistill.config.stages import ComparedSet, Comparison
from diffdistill.report import comparison_page
from tests import command
from tests.report.test_comparison import runs, sets

__all__ = ["sets"]

ENDINGS = ("csv", "md", "tex", "pdf", "png")
TABLE = pd.DataFrame(
    [
        {
            "set": "ours", "mean": 0.9, "std": 0.01, "runs": 3, "relative_accuracy": 0.95, "images": 2000,
            "images_per_class": 200.0, "images_share": 1.5, "bytes": 128_000, "generator_bytes": 2_400_000,
            "training_seconds": 90.0, "seconds": 20.0, "fid": 0.014, "fid_images": 500, "label_agreement": 0.98,
            "audit": "pass",
        },
        {
            "set": "theirs", "mean": 0.8, "std": 0.02, "runs": 3, "difference": -0.1, "difference_low": -0.15,
            "difference_high": -0.05, "seeds": "0, 1, 2",
        },
        {"set": "once", "mean": 0.7, "runs": 1, "difference": -0.2, "seeds": "1"},
        {"set": "elsewhere", "mean": 0.99, "runs": 1, "images": 10, "not_compared": "another test split"},
    ]
)  # fmt: skip


def test_readers_see_accuracies_apart_from_what_does_not_compare() -> None:
    views = comparison_page.views(TABLE)
    assert list(views) == ["Accuracy", "Not compared", "Size", "Time and quality"]
    accuracy = views["Accuracy"].set_index("set")
    assert accuracy["accuracy"].tolist() == ["0.9000 ± 0.0100", "0.8000 ± 0.0200", "0.7000"]
    assert accuracy["difference"].tolist() == ["best", "-0.1000 (-0.1500 to -0.0500)", "-0.2000"]
    assert views["Not compared"].to_dict("records") == [
        {"set": "elsewhere", "accuracy": "0.9900", "runs": 1, "reason": "another test split"}
    ]
    assert views["Size"]["set"].tolist() == views["Time and quality"]["set"].tolist()
    markdown = comparison_page.texts(TABLE)["md"]
    promised = {
        "accuracy", "relative accuracy", "difference to the best (95 %)", "images per class", "images / real images",
        "bytes", "generator bytes", "training time", "sampling time", "FID", "FID images", "label agreement", "audit",
    }  # fmt: skip
    assert promised <= {cell.strip() for cell in markdown.split("|")} and "nan" not in markdown


def test_without_others_there_is_no_table_of_them() -> None:
    table = TABLE[:3].dropna(axis="columns", how="all")
    assert (
        "Not compared" not in comparison_page.views(table) and "not compared" not in comparison_page.texts(table)["md"]
    )


@pytest.mark.parametrize("apart", [False, True])
def test_the_stage_writes_tables_figure_and_page(sets: dict[str, ComparedSet], apart: bool, tmp_path: Path) -> None:
    members = dict(sets)
    if apart:
        members["other"] = sets["theirs"].model_copy(update={"runs": runs(tmp_path / "other", {0: 0.99}, "elsewhere")})
    outputs = {ending: tmp_path / f"comparison.{ending}" for ending in ENDINGS} | {"page": tmp_path / "page.html"}
    assert command.run("comparison", Comparison(name="mine", sets=members), {}, outputs) == 0
    page, markdown = outputs["page"].read_text(), outputs["md"].read_text()
    assert "data:image/png;base64," in page and 'src="http' not in page and outputs["pdf"].stat().st_size
    # two real images of 64 bytes in each of three classes
    assert "all 6 real images (384 B), they reach 0.9000 ± 0.1414" in page and "Protocol: steps 5." in page
    assert "real_1_per_class" in page and "0.8000 ± 0.1000" in page
    assert ("another test split" in page) == ("Not compared" in markdown) == apart
    assert pd.read_csv(outputs["csv"])["set"].tolist() == sorted(sets) + (["other"] if apart else [])
