import json
import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from diffdistill.report import results, tables
from tests.report.conftest import FINISHED, REPOSITORY, RUNS, Make, judged


def read(folder: Path, name: str) -> pd.DataFrame:
    return results.table(folder / "tables" / f"{name}.csv")


def test_numbers_against_hand_computed_ones(make: Make) -> None:
    project = make(small={})
    assert project.run("tables") == 0
    accuracy = read(project.folder, "accuracy").set_index("train_set")
    assert list(accuracy.columns) == [
        "experiment", "images", "images_share", "bytes", "generator_bytes", "mean", "std", "runs", "relative_accuracy",
    ]  # fmt: skip
    # 9 images of 8x8 beside 6 real ones
    assert list(accuracy.loc["distilled"]) == ["small", 9, 1.5, 576, 177_000_000, 0.45, 0.01, 3, 0.5]
    assert accuracy.loc["real", "relative_accuracy"] == 1 and accuracy.loc["real-random", "relative_accuracy"] == 0.9
    assert accuracy.loc["real", "bytes"] == 384 and math.isnan(accuracy.loc["real", "generator_bytes"])
    generators = read(project.folder, "generators").iloc[0]
    # 30 iterations of 16 images; a third of them at 16 images per second, the others at 32
    assert (generators["fid"], generators["step"], generators["training_seconds"]) == (3.125, 20, 20.0)
    assert (generators["sampler"], generators["nfe"]) == ("dpmsolver++ multistep 2", 50)
    sampling = read(project.folder, "sampling").iloc[0]
    assert (sampling["generator"], sampling["nfe"], sampling["seconds"]) == ("diffusion", 20, 10)
    assert sampling["start_share"] == 0.125
    expected = ["small", "uvit", 13, 512, 2048, 8, 2, 44_257_536]  # U-ViT-Small: 12 blocks and the middle one
    assert read(project.folder, "models").to_numpy().tolist() == [expected]


def test_a_finished_set_has_accuracies_and_an_account_alone(make: Make) -> None:
    project = make(theirs={"kinds": FINISHED})
    assert project.run("tables") == 0
    assert sorted(path.stem for path in (project.folder / "tables").glob("*.csv")) == ["accuracy", "sampling"]
    sampling = read(project.folder, "sampling")
    assert "seconds" not in sampling and "generator_bytes" not in sampling  # 1.5 s is the time to read the set
    assert read(project.folder, "accuracy")["generator_bytes"].isna().all()


def test_another_network_has_its_own_columns(make: Make) -> None:
    experiments = make(small={}, other={}).experiments
    experiments["other"].settings["model"] = {"kind": "unet", "channels": 32, "multipliers": [1, 2, 2]}
    table = tables.models(list(experiments.values())).set_index("experiment")
    assert table.loc["other", "multipliers"] == "1, 2, 2" and math.isnan(table.loc["other", "layers"])


def test_a_selection_stands_beside_the_samples_it_was_selected_from(make: Make) -> None:
    project = make(small={})
    path = project.file("small", "baselines")
    rows = [
        f"small,{kind},{n},{seed},0.35,1,1"
        for kind, n in (("all-samples", 90), ("random-samples", 9))
        for seed in (0, 1)
    ]
    path.write_text("\n".join([path.read_text(), *rows]))
    found = tables.accuracies(list(project.experiments.values())).set_index("train_set")
    assert list(found.index) == ["distilled", "random-samples", "all-samples", "real-random", "real"]
    assert found.loc["all-samples", "mean"] == pytest.approx(0.35) and found.loc["all-samples", "images_share"] == 15
    assert found.loc["all-samples", "bytes"] == 90 * 64 and found.loc["all-samples", "generator_bytes"] == 177_000_000


def test_baselines_may_lack_train_sets(make: Make) -> None:
    project = make(small={})
    project.file("small", "baselines").write_text(RUNS + "small,real-random,6,0,0.8,1,1\n")
    found = tables.accuracies(list(project.experiments.values())).set_index("train_set")
    assert list(found.index) == ["distilled", "real-random"] and found["relative_accuracy"].isna().all()
    page = project.show()
    assert "nan" not in (project.folder / "tables/accuracy.md").read_text().lower()
    assert "nan" not in page.split("<body>")[1].split("base64")[0].lower()


def test_a_single_run_has_no_standard_deviation(make: Make) -> None:
    project = make(small={})
    path = project.file("small", "accuracy")
    path.write_text("\n".join(path.read_text().splitlines()[:2]))
    assert project.run("tables") == 0
    assert math.isnan(read(project.folder, "accuracy")["std"][0])
    assert "nan" not in (project.folder / "tables/accuracy.md").read_text().lower()


def ours_in(experiments: list[results.Experiment]) -> list[int]:
    """The tracks in which our row stands."""
    table = tables.leaderboard(_published(), experiments)
    found: list[int] = table.loc[table["team"] == tables.OURS, "track"].tolist()
    return found


def test_the_leaderboard_has_ours_only_with_both_data_sets(make: Make) -> None:
    published = _published()
    assert published.groupby("track").size().tolist() == [9, 5]
    for row in published.to_dict("records"):  # the published averages are of unrounded accuracies
        assert (row["cifar100"] + row["tinyimagenet"]) / 2 == pytest.approx(row["average"], abs=2e-4)
    project = make(a={"dataset": "cifar100"}, b={"dataset": "cifar100"}, c={"dataset": "tinyimagenet"})
    a, b, c = judged(project, 2, a=0.45, b=0.5, c=0.15)
    pd.testing.assert_frame_equal(tables.leaderboard(published, [a, b]), published)
    table = tables.leaderboard(published, [a, b, c])
    track = table[table["track"] == 2]
    assert track["team"].tolist()[:3] == ["zheli", tables.OURS, "Mel"]  # 0.3054, 0.3, 0.1321
    assert track["rank"].isna().tolist() == [False, True, False, False, False, False]
    others = table[table["team"] != tables.OURS].reset_index(drop=True)
    pd.testing.assert_frame_equal(others, published, check_dtype=False)


def test_ten_images_per_class_and_1001_epochs_stand_in_track_1(make: Make) -> None:
    project = make(a={"dataset": "cifar100"}, b={"dataset": "tinyimagenet"})
    experiments = judged(project, 1, a=0.5, b=0.1)
    table = tables.leaderboard(_published(), experiments)
    assert table["team"].tolist()[:2] == [tables.OURS, "Zhou_chuhao"]  # 0.3, 0.2945
    assert ours_in(experiments) == [1]
    for name in ("a", "b"):
        path = project.file(name, "accuracy")
        path.write_text(path.read_text().replace(",30,", ",60,"))
    assert ours_in(list(project.experiments.values())) == []


def test_another_protocol_stands_in_no_track(make: Make) -> None:
    project = make(a={"dataset": "cifar100"}, b={"dataset": "tinyimagenet"})
    a, b = judged(project, 2, a=0.5, b=0.1)
    assert a.accuracy is not None and ours_in([a, b]) == [2]
    protocol = json.loads(a.accuracy["protocol"][0]) | {"width": 64}
    assert ours_in([replace(a, accuracy=a.accuracy.assign(protocol=json.dumps(protocol, sort_keys=True))), b]) == []
    assert ours_in([replace(a, accuracy=a.accuracy.drop(columns="protocol")), b]) == []


@pytest.mark.parametrize("kind", ["samples", "python", "pipeline", "weights"])
def test_what_others_made_is_not_ours(make: Make, kind: str) -> None:
    project = make(a={"dataset": "cifar100"}, b={"dataset": "tinyimagenet"})
    a, b = judged(project, 2, a=0.5, b=0.1)
    assert ours_in([replace(a, account={"images": 30, "generator": {"kind": kind}}), b]) == []
    assert ours_in([replace(a, account=None), b]) == [2]  # refined from real images


def _published() -> pd.DataFrame:
    return results.table(REPOSITORY / "resources/leaderboard.csv", results.LEADERBOARD)


def test_emas_by_decay_the_one_of_the_lowest_fid_first() -> None:
    fid = pd.DataFrame({"step": [1, 1, 2, 2], "ema_decay": [0.9, 0.99] * 2, "fid": [4.0, 8.0, 3.0, 2.0]})
    assert {decay: part["fid"].tolist() for decay, part in tables.by_ema(fid).items()} == {
        "0.99": [8.0, 2.0], "0.9": [4.0, 3.0],
    }  # fmt: skip
    assert list(tables.by_ema(fid)) == ["0.99", "0.9"] and list(tables.by_ema(fid.drop(columns="ema_decay"))) == [""]


def test_an_audit_without_weights_has_no_membership(make: Make) -> None:
    experiments = make(ours={}, theirs={"kinds": FINISHED}).experiments.values()
    with_weights, without = (tables.audit(one.audit or {}) for one in experiments)
    assert with_weights["measure"].tolist() == ["nearest_neighbour", "membership_loss"] and len(without) == 1
    assert with_weights.iloc[0][["value", "low", "high", "threshold"]].tolist() == [0.515, 0.49, 0.54, 0.6667]
    assert set(with_weights["verdict"]) == {"pass"} and set(with_weights["source"]) == {"reason: chance"}
