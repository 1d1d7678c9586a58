import math
from pathlib import Path

import pandas as pd
import pytest

from diffdistill.report import results, tables
from diffdistill.stages import tables as stage
from tests.report.conftest import REPOSITORY, Make


def test_numbers_against_hand_computed_ones(make: Make) -> None:
    project = make(small={})
    assert stage.main(project.arguments("tables")) == 0
    accuracy = pd.read_csv(project.file("accuracy_csv")).set_index("train_set")
    assert list(accuracy.columns) == ["experiment", "images", "mean", "std", "runs", "kept"]
    assert list(accuracy.loc["distilled"]) == ["small", 4000, 0.45, 0.01, 3, 0.5]
    assert accuracy.loc["real", "kept"] == 1 and accuracy.loc["real-random", "kept"] == 0.9
    generators = pd.read_csv(project.file("generators_csv")).iloc[0]
    # 30 iterations of 16 images; a third of them at 16 a second, the others at 32
    assert (generators["FID"], generators["at iteration"], generators["training seconds"]) == (3.125, 20, 20.0)
    assert (generators["sampler"], generators["steps"]) == ("dpmsolver++ multistep 2", 50)
    models = pd.read_csv(project.file("models_csv"))
    expected = ["small", 13, 512, 2048, 8, 2, 44_257_536]  # the paper's U-ViT-Small: 12 blocks and the middle one
    assert models.to_numpy().tolist() == [expected]


def test_a_selection_stands_beside_what_it_was_selected_from(make: Make) -> None:
    folder = make(small={}).folder / "small"
    runs, others = pd.read_csv(folder / "accuracy.csv"), pd.read_csv(folder / "baselines.csv")
    drawn = [runs.assign(train_set=kind, accuracy=runs["accuracy"] - 0.1) for kind in ("drawn", "drawn-random")]
    both = pd.concat([others, *drawn])
    found = tables.accuracies({"small": runs}, {"small": both}).set_index("train_set")
    assert list(found.index) == ["distilled", "drawn-random", "drawn", "real-random", "real"]
    assert found.loc["drawn", "mean"] == pytest.approx(0.35) and found.loc["distilled", "kept"] == 0.5
    assert "  as many, not selected   0.3500 ± 0.0100" in tables.summary({"small": runs}, {"small": both}, "page")


def test_texts_are_aligned_escaped_and_rounded_alike(make: Make) -> None:
    project = make(my_set={})
    assert stage.main(project.arguments("tables")) == 0
    assert "| my_set       | distilled   |    4,000 | 0.4500 | 0.0100 |" in project.file("accuracy_md").read_text()
    tex = project.file("models_tex").read_text()
    assert r"my\_set & 13 & 512 & 2,048 & 8 & 2 & 44.3M \\" in tex and r"\toprule" in tex
    assert "0.0100 & 0.0460 & 0.0280" in project.file("leaderboard_tex").read_text()


def test_a_single_run_has_no_spread(make: Make) -> None:
    project = make(small={})
    folder = project.folder / "small"
    (folder / "accuracy.csv").write_text("\n".join((folder / "accuracy.csv").read_text().splitlines()[:2]))
    assert stage.main(project.arguments("tables")) == 0
    assert math.isnan(pd.read_csv(project.file("accuracy_csv"))["std"][0])
    assert "nan" not in project.file("accuracy_md").read_text().lower()


def test_leaderboard_has_ours_only_with_both_data_sets() -> None:
    published = results.table(REPOSITORY / "resources/leaderboard.csv", results.LEADERBOARD)
    assert published.groupby("track").size().tolist() == [9, 5]
    for row in published.to_dict("records"):  # the published averages are of unrounded accuracies
        assert (row["cifar100"] + row["tinyimagenet"]) / 2 == pytest.approx(row["average"], abs=2e-4)
    one = {"cifar100": pd.DataFrame({"accuracy": [0.4, 0.5]})}
    pd.testing.assert_frame_equal(tables.leaderboard(published, one), published)
    table = tables.leaderboard(published, {**one, "tinyimagenet": pd.DataFrame({"accuracy": [0.15]})})
    track = table[table["track"] == 2]
    assert track["team"].tolist()[:3] == ["zheli", tables.OURS, "Mel"]  # 0.3054, 0.3, 0.1321
    assert track["rank"].isna().tolist() == [False, True, False, False, False, False]
    pd.testing.assert_frame_equal(
        table[table["team"] != tables.OURS].reset_index(drop=True), published, check_dtype=False
    )


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("baselines.csv", None, "baselines.csv: no such file"),
        ("baselines.csv", "", "baselines.csv: not a readable table"),
        ("baselines.csv", "dataset,train_set\nsmall,real\n", "no column images, seed, accuracy"),
        ("baselines.csv", "dataset,train_set,images,seed,accuracy\nsmall,real,9,0,0.9\n", "train_set 'real-random'"),
        ("accuracy.csv", "dataset,train_set,images,seed,accuracy\nother,distilled,9,0,0.9\n", "runs of other"),
        ("accuracy.csv", "dataset,train_set,images,seed,accuracy\nsmall,distilled,9,0,90\n", "within 0 and 1"),
        ("fid.csv", "step,fid,images,features,solver,evaluations,parameters\n", "not a single row"),
        ("samples.json", "{", "samples.json: not valid JSON"),
    ],
)
def test_what_is_missing_is_named(
    make: Make, capsys: pytest.CaptureFixture[str], file: str, text: str | None, said: str
) -> None:
    project = make(small={})
    path: Path = project.folder / "small" / file
    path.unlink() if text is None else path.write_text(text)
    assert stage.main(project.arguments("tables")) == 2
    assert said in capsys.readouterr().err
    assert not project.file("models_csv").exists()


def test_durations_and_distances_show_the_digits_that_matter() -> None:
    assert [tables.duration(seconds) for seconds in (41.25, 750, 97_200)] == ["41.2 s", "12.5 min", "27.0 h"]
    table = tables.shown(pd.DataFrame({"FID": [3.456, 0.005922]}))
    assert table["FID"].tolist() == ["3.46", "0.0059"]
