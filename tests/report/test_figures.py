import json

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from diffdistill.data import image_files
from diffdistill.errors import UserError
from diffdistill.report import figures, results, tables
from diffdistill.stages import figures as stage
from tests.report.conftest import REPOSITORY, Make


def test_made_twice_they_are_the_same_bytes(make: Make) -> None:
    project = make(small={}, cifar100={"classes": [str(k) for k in range(12)], "size": 32, "channels": 3})
    written = []
    for _ in range(2):
        assert stage.main(project.arguments("figures")) == 0
        written.append({path.name: path.read_bytes() for path in project.folder.glob("*.p??")})
    assert len(written[0]) == 16  # four figures and two of images per experiment, each as pdf and png
    assert written[0] == written[1]


def test_every_experiment_has_its_curve_however_many_there_are() -> None:
    loss = pd.DataFrame({"iteration": [1, 2], "loss": [0.5, 0.25]})
    fid = pd.DataFrame({"step": [1, 2], "fid": [4.0, 2.0], "images": 10, "features": "inception"})
    names = [f"e{k}" for k in range(9)]
    assert len(figures.loss_curve(dict.fromkeys(names, loss)).axes[0].get_legend_handles_labels()[1]) == 9
    mixed = {**dict.fromkeys(names, fid), "own": fid}
    panels = figures.fid_curve(mixed, {**dict.fromkeys(names, "inception features"), "own": "classifier features"}).axes
    assert [axes.get_ylabel() for axes in panels] == ["FID, classifier features", "FID, inception features"]
    assert [len(axes.lines) for axes in panels] == [2, 18]  # a curve and a ring each


def test_every_average_of_the_weights_has_its_curve() -> None:
    columns = {"step": [1, 1, 2, 2], "ema_decay": [0.9, 0.99] * 2, "fid": [4.0, 8.0, 3.0, 2.0], "images": 10}
    axes = figures.fid_curve({"small": pd.DataFrame(columns)}, {"small": "inception features"}).axes[0]
    assert list(axes.lines[0].get_ydata()) == [8.0, 2.0] and list(axes.lines[1].get_ydata()) == [4.0, 3.0]
    assert [line.get_linestyle() for line in axes.lines[:2]] == ["-", "--"]
    labels = axes.get_legend_handles_labels()[1]
    assert labels[0].endswith("EMA decay 0.99") and labels[1] == "small: EMA decay 0.9"


def test_classifiers_of_two_data_sets_measure_different_distances(make: Make) -> None:
    project = make(one={"features": "classifier"}, other={"features": "classifier"}, third={})
    found = results.Results(
        project.experiments,
        **{kind: {} for kind in ("accuracy", "baselines", "loss", "budget")},
        fid={name: pd.read_csv(project.folder / name / "fid.csv") for name in project.experiments},
    )
    assert list(found.features().values()) == [
        "classifier features (one)", "classifier features (other)", "inception features",
    ]  # fmt: skip
    project.experiments["other"]["dataset"] = "one"  # the same images, classifier and seed: the same features
    assert len(set(found.features().values())) == 2


def test_bars_start_at_zero_and_every_seed_is_a_dot(make: Make) -> None:
    project = make(small={})
    runs = pd.concat([pd.read_csv(project.folder / "small" / file) for file in ("accuracy.csv", "baselines.csv")])
    bars, seeds = figures.accuracy({"small": runs}).axes
    assert bars.get_xlim()[0] == 0 and bars.get_title(loc="left").startswith("small: 50.0%")
    widths = [bar.get_width() for bar in bars.patches if isinstance(bar, Rectangle)]
    assert widths == pytest.approx([0.45, 0.81, 0.9])
    offsets = [np.asarray(collection.get_offsets()) for collection in seeds.collections]
    dots = [places[:, 0].tolist() for places in offsets if len(places) > 1]  # the others are whiskers
    assert dots[0] == pytest.approx([0.44, 0.45, 0.46]) and len(dots) == 3
    drawn = pd.concat(
        [runs[runs["train_set"] == "distilled"].assign(train_set=kind) for kind in ("drawn", "drawn-random")]
    )
    bars = figures.accuracy({"small": pd.concat([runs, drawn])}).axes[0]
    shown = [label.get_text().split("\n")[0] for label in bars.get_yticklabels()]
    assert shown == ["generated", "as many, not selected", "all that were drawn", "real, at random", "real, all"]
    with pytest.raises(UserError, match="real-random"):
        figures.accuracy({"small": runs[runs["train_set"] != "real-random"]})


def test_our_row_of_the_leaderboard_is_marked() -> None:
    published = results.table(REPOSITORY / "resources/leaderboard.csv", results.LEADERBOARD)
    ours = {name: pd.DataFrame({"accuracy": [0.5]}) for name in tables.CHALLENGE}
    axes = figures.leaderboard(tables.leaderboard(published, ours)).axes
    bars = [[bar for bar in panel.patches if isinstance(bar, Rectangle)] for panel in axes]
    first, second = ([bar.get_facecolor()[:3] for bar in panel] for panel in bars)
    assert set(first) == set(second[1:]) == {to_rgb(figures.BLUE)} and second[0] == to_rgb(figures.ORANGE)
    labels = axes[1].get_yticklabels()
    assert labels[0].get_text() == tables.OURS and labels[0].get_fontweight() == "bold"


def test_other_class_names_are_refused(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    project = make(small={})
    drawn = image_files.load(project.folder / "small/samples.safetensors")
    names = {"classes": json.dumps(drawn.classes[::-1])}
    image_files.save(project.folder / "small/samples.safetensors", drawn.images, drawn.labels, names)
    assert stage.main(project.arguments("figures")) == 2
    assert "differ in class names" in capsys.readouterr().err
