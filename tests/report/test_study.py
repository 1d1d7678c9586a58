"""A study's tables and section against numbers known beforehand."""

import itertools
from typing import Any

import pandas as pd
import pytest

from diffdistill.metrics import scores
from diffdistill.report import study
from tests.report.conftest import Make

SEEDS = (0, 1)


def rows(ablation: str, axis: str, train_set: str, images: int, level: float, **more: Any) -> list[dict[str, Any]]:
    """Two trainings 0.02 apart around a level, on three classes."""
    fixed = {"experiment": "small", "ablation": ablation, "axis": axis, "train_set": train_set}
    fixed |= {"architecture": "convnet"}
    fixed |= {"labels": "hard", "resampling": None, "images": images, "images_per_class": images / 3}
    fixed |= {"epochs": 10, "steps": 40, "seconds": 1.0, **more}
    return [{**fixed, "seed": seed, "accuracy": level + (0.01 if seed else -0.01)} for seed in SEEDS]


def runs(whole: float = 0.6) -> pd.DataFrame:
    parts = [
        rows("main", "main", "distilled", 3000, whole),
        rows("main", "main", "real", 300, 0.8),
        rows("main", "main", "real-random", 300, 0.8),  # all of them: there are fewer than generated ones
        *(rows(f"size-{n}", "size", "real-random", 3 * n, level) for n, level in ((1, 0.4), (10, 0.6))),
        *(rows(f"size-{n}", "size", "distilled", 3 * n, level) for n, level in ((1, 0.3), (10, 0.5))),
        rows("resnet18", "architecture", "real", 300, 0.5, architecture="resnet18"),
        rows("resnet18", "architecture", "distilled", 3000, 0.45, architecture="resnet18"),
        rows("soft", "labels", "distilled", 3000, 0.7, labels="soft"),
        rows("soft", "labels", "real-random", 300, 0.8, labels="soft"),
        rows("no-augmentation", "augment", "distilled", 3000, 0.5),
        rows("no-augmentation", "augment", "real-random", 300, 0.6),
        rows("resampling-1", "resampling", "distilled", 3000, whole + 0.1, resampling=1),
    ]
    return pd.DataFrame(list(itertools.chain(*parts)))[list(study.COLUMNS)]


def test_means_are_compared_with_all_real_images_of_their_own_ablation() -> None:
    table = study.means(runs()).set_index(["ablation", "train_set"])
    assert table.loc[("main", "distilled"), "relative_accuracy"] == pytest.approx(0.75)
    assert table.loc[("resnet18", "distilled"), "relative_accuracy"] == pytest.approx(0.9)
    assert table.loc[("soft", "distilled"), "relative_accuracy"] == pytest.approx(
        0.7 / 0.8
    )  # no soft training on all real images: that of main
    assert table.loc[("main", "real"), "std"] == pytest.approx(0.02 / 2**0.5) and set(table["runs"]) == {2}


def test_curves_hold_what_differs_in_size_alone() -> None:
    assert [size for size, _ in study.curve(runs(), "distilled")] == [1, 10, 1000]
    real = study.curve(runs(), "real")
    assert [size for size, _ in real] == [1, 10, 100] and [len(values) for _, values in real] == [2, 2, 2]
    assert study.curve(runs(), "samples") == []
    few, whole = rows("size-10", "size", "random-samples", 30, 0.45), rows("main", "main", "all-samples", 3000, 0.6)
    selected = pd.concat([runs(), pd.DataFrame(few + whole)])
    assert [size for size, _ in study.curve(selected, "samples")] == [10, 1000]
    assert study.real_equivalent_size(selected) == study.real_equivalent_size(runs())


def test_findings_by_hand() -> None:
    said = study.findings(runs()).set_index("measure")
    size = said.loc["real-equivalent size, images per class"]
    assert size["finding"] == "10" and size["uncertainty"].startswith("95 % interval: ")
    assert said.loc["lead over random real images, hard labels", "finding"] == "-0.2000"
    assert said.loc["lead over random real images, soft labels", "finding"] == "-0.1000"
    assert "all real images" in said.loc["lead over random real images, hard labels", "note"]
    assert said.loc["LRS, label-robust score", "finding"] == f"{scores.label_robust(0.8, 0.6, 0.8):.4f}"
    score = scores.augmentation_robust(0.6, 0.8, 0.5, 0.6)
    assert said.loc["ARS, augmentation-robust score", "finding"] == f"{score:.4f}"
    # sets at 0.6 and 0.7: between 2 * 0.005, within 0.0002; (0.01 - 0.0002) / 2 = 0.07^2
    assert said.loc["variation between resampled sets", "finding"] == "0.0700"
    assert said.loc["variation between trainings", "finding"] == "0.0141"
    assert said.loc["mean over resampled sets", "uncertainty"] == "standard error 0.0500"


def test_random_real_images_are_all_only_if_there_are_no_more() -> None:
    stored_in_grids = [
        rows("main", "main", "distilled", 400, 0.6),
        rows("main", "main", "real-random", 100, 0.5),
        rows("main", "main", "real", 1297, 0.9),
    ]
    said = study.findings(pd.DataFrame(list(itertools.chain(*stored_in_grids)))).set_index("measure")
    assert said.loc["lead over random real images, hard labels", "note"] == "100 random real images"


@pytest.mark.parametrize(("whole", "value"), [(0.9, "more than 100"), (0.2, "fewer than 1")])
def test_what_lies_beyond_the_curve_is_said_so(whole: float, value: str) -> None:
    assert study.findings(runs(whole))["finding"].iloc[0] == value


def test_a_study_of_nothing_has_only_what_the_main_evaluation_tells() -> None:
    main = runs()[lambda table: table["ablation"] == "main"]
    assert study.real_equivalent_size(main) is None
    assert [measure.split(",")[0] for measure in study.findings(main)["measure"]] == [
        "lead over random real images", "LRS",
    ]  # fmt: skip


def test_a_study_without_a_train_set_has_the_findings_that_remain() -> None:
    lone = runs()[lambda table: table["train_set"] == "distilled"]
    assert set(study.findings(lone)["measure"]) == {
        "mean over resampled sets", "variation between resampled sets", "variation between trainings",
    }  # fmt: skip
    assert study.means(lone)["relative_accuracy"].isna().all()


def test_an_experiment_with_a_study_has_a_section(make: Make) -> None:
    project = make(small={"study": runs().to_csv(index=False)}, other={})
    page = project.show()
    assert page.count("<h3>Study</h3>") == 1
    section = page.split("<h3>Study</h3>")[1].split("<h3>Audit</h3>")[0]
    for part in ("<img ", "real-equivalent size, images per class", "no-augmentation", "LRS", "0.0700"):
        assert part in section, part
    assert "real-equivalent size" in (project.folder / "tables/findings_small.md").read_text()
    assert not (project.folder / "tables/study_other.csv").exists()
