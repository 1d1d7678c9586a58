from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from diffdistill.report import figures, results, style, tables
from tests.report.conftest import FINISHED, REPOSITORY, Make, judged


def test_every_experiment_has_its_curve_however_many_there_are(make: Make) -> None:
    (one,) = make(small={}).experiments.values()
    many = [replace(one, name=f"e{number}") for number in range(9)]
    assert len(figures.loss_curve(many).axes[0].get_legend_handles_labels()[1]) == 9
    assert one.fid is not None
    own = replace(one, name="own", fid=one.fid.assign(features="classifier"))
    panels = figures.fid_curve([*many, own]).axes
    assert [axes.get_ylabel() for axes in panels] == ["FID, classifier features (own)", "FID, inception features"]
    assert [len(axes.lines) for axes in panels] == [2, 18]  # a curve and a ring each


def test_every_ema_has_its_curve(make: Make) -> None:
    (one,) = make(small={}).experiments.values()
    columns = {"step": [1, 1, 2, 2], "ema_decay": [0.9, 0.99] * 2, "fid": [4.0, 8.0, 3.0, 2.0], "images": 10}
    table = pd.DataFrame(columns).assign(features="inception")
    axes = figures.fid_curve([replace(one, fid=table)]).axes[0]
    assert list(axes.lines[0].get_ydata()) == [8.0, 2.0] and list(axes.lines[1].get_ydata()) == [4.0, 3.0]
    assert [line.get_linestyle() for line in axes.lines[:2]] == ["-", "--"]
    labels = axes.get_legend_handles_labels()[1]
    assert labels[0].endswith("EMA decay 0.99") and labels[1] == "small: EMA decay 0.9"


def test_different_classifiers_measure_different_distances(make: Make) -> None:
    one, other, third = make(
        one={"features": "classifier"}, other={"features": "classifier"}, third={}
    ).experiments.values()
    assert list(figures.features([one, other, third]).values()) == [
        "classifier features (one)", "classifier features (other)", "inception features",
    ]  # fmt: skip
    assert other.fid is not None and one.fid is not None
    same = replace(other, fid=other.fid.assign(features_sha256=one.fid["features_sha256"].iloc[0]))
    assert len(set(figures.features([one, same, third]).values())) == 2


def test_bars_start_at_zero_and_every_seed_is_a_dot(make: Make) -> None:
    (one,) = make(small={}).experiments.values()
    bars, seeds = figures.accuracy([one]).axes
    assert bars.get_xlim()[0] == 0 and bars.get_title(loc="left") == "small: relative accuracy 50.0%"
    widths = [bar.get_width() for bar in bars.patches if isinstance(bar, Rectangle)]
    assert widths == pytest.approx([0.45, 0.81, 0.9])
    offsets = [np.asarray(collection.get_offsets()) for collection in seeds.collections]
    dots = [places[:, 0].tolist() for places in offsets if len(places) > 1]  # the others are whiskers
    assert dots[0] == pytest.approx([0.44, 0.45, 0.46]) and len(dots) == 3


def test_bars_of_the_train_sets_that_there_are(make: Make) -> None:
    (one,) = make(small={}).experiments.values()
    assert one.accuracy is not None
    samples = [one.accuracy.assign(train_set=kind) for kind in ("all-samples", "random-samples")]
    some = [replace(one, baselines=pd.concat(samples)), replace(one, name="alone", baselines=None)]
    first, _, second, _ = figures.accuracy(some).axes
    shown = [[label.get_text().split("\n")[0] for label in axes.get_yticklabels()] for axes in (first, second)]
    assert shown == [["distilled", "random samples", "all samples"], ["distilled"]]
    assert second.get_title(loc="left") == "alone"


def test_our_row_of_the_leaderboard_is_marked(make: Make) -> None:
    published = results.table(REPOSITORY / "resources/leaderboard.csv", results.LEADERBOARD)
    ours = judged(make(cifar100={}, tinyimagenet={}), 2, cifar100=0.45, tinyimagenet=0.45)
    axes = figures.leaderboard(tables.leaderboard(published, ours)).axes
    bars = [[bar for bar in panel.patches if isinstance(bar, Rectangle)] for panel in axes]
    first, second = ([bar.get_facecolor()[:3] for bar in panel] for panel in bars)
    assert set(first) == set(second[1:]) == {to_rgb(style.BLUE)} and second[0] == to_rgb(style.ORANGE)
    labels = axes[1].get_yticklabels()
    assert labels[0].get_text() == tables.OURS and labels[0].get_fontweight() == "bold"


def test_a_finished_set_is_shown(make: Make) -> None:
    (theirs,) = make(theirs={"kinds": FINISHED}).experiments.values()
    assert len(figures.samples(theirs).axes) == 2 and len(figures.classes(theirs).axes) == 1
