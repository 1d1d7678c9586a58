import json
from pathlib import Path

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.patches import Rectangle

from diffdistill.data import images as image_files
from diffdistill.errors import UserError
from diffdistill.report import excerpt, figures
from diffdistill.stages import figures as stage
from tests.report.conftest import Make


def test_made_twice_they_are_the_same_bytes(make: Make) -> None:
    project = make(small={}, cifar100={"classes": [str(k) for k in range(12)], "size": 32, "channels": 3})
    written = []
    for _ in range(2):
        assert stage.main(project.arguments("figures")) == 0
        written.append({path.name: path.read_bytes() for path in project.folder.glob("*.p??")})
    assert len(written[0]) == 12  # four figures and two of samples, each as pdf and png
    assert written[0] == written[1]


def test_every_experiment_has_its_curve_however_many_there_are() -> None:
    loss = pd.DataFrame({"iteration": [1, 2], "loss": [0.5, 0.25]})
    fid = pd.DataFrame({"step": [1, 2], "fid": [4.0, 2.0], "images": 10, "features": "inception"})
    names = [f"e{k}" for k in range(9)]
    assert len(figures.loss_curve(dict.fromkeys(names, loss)).axes[0].get_legend_handles_labels()[1]) == 9
    mixed = {**dict.fromkeys(names, fid), "own": fid.assign(features="classifier")}
    panels = figures.fid_curve(mixed).axes
    assert [axes.get_ylabel() for axes in panels] == ["FID, classifier features", "FID, inception features"]
    assert [len(axes.lines) for axes in panels] == [2, 18]  # a curve and a ring each


def test_bars_start_at_zero_and_every_seed_is_a_dot(make: Make) -> None:
    project = make(small={})
    runs = pd.concat([pd.read_csv(project.folder / "small" / file) for file in ("accuracy.csv", "baselines.csv")])
    bars, seeds = figures.accuracy({"small": runs}).axes
    assert bars.get_xlim() == (0, 1) and bars.get_title(loc="left").startswith("small: 50.0%")
    widths = [bar.get_width() for bar in bars.patches if isinstance(bar, Rectangle)]
    assert widths == pytest.approx([0.45, 0.81, 0.9])
    offsets = [np.asarray(collection.get_offsets()) for collection in seeds.collections]
    dots = [places[:, 0].tolist() for places in offsets if len(places) > 1]  # the others are whiskers
    assert dots[0] == pytest.approx([0.44, 0.45, 0.46]) and len(dots) == 3
    with pytest.raises(UserError, match="real-random"):
        figures.accuracy({"small": runs[runs["train_set"] != "real-random"]})


def test_no_pixel_of_a_shown_image_is_resampled(tmp_path: Path) -> None:
    """16 grey levels in, each back as a square of whole pixels in the png."""
    x = torch.arange(16, dtype=torch.uint8).mul(17).reshape(1, 1, 4, 4)
    metadata = {"classes": json.dumps(["$only"])}
    image_files.save(tmp_path / "x.safetensors", x, torch.zeros(1, dtype=torch.int64), metadata)
    shown = excerpt.first_of_each_class(tmp_path / "x.safetensors", 10, 200)
    figures.save(figures.samples(shown, shown), tmp_path / "x.png")
    picture = (matplotlib.image.imread(tmp_path / "x.png")[:, :, 0] * 255).round().astype(np.uint8)
    square = x[0, 0].numpy().repeat(16, axis=0).repeat(16, axis=1)  # 64 by 64
    found = [
        (row, column)
        for row, column in np.argwhere(picture[:-63, :-63] == 0)
        if np.array_equal(picture[row : row + 64, column : column + 64], square)
    ]
    assert len(found) == 2  # once left, once right


@pytest.mark.parametrize(("classes", "shape"), [(3, (3, 10)), (25, (3, 10)), (200, (20, 10))])
def test_a_row_a_class_or_one_image_a_class(classes: int, shape: tuple[int, int]) -> None:
    labels = torch.arange(classes).repeat(2)
    x = labels.to(torch.uint8).reshape(-1, 1, 1, 1).expand(-1, 1, 64, 64)
    shown = image_files.ImageSet(x, labels, [f"name {k}" for k in range(classes)], {})
    mosaic = figures._mosaic(shown, classes, shape[0])
    assert mosaic.shape == (68 * shape[0], 68 * shape[1])
    corners = mosaic[::68, ::68]
    expected = np.full(shape, 255, dtype=np.uint8)
    if classes <= 10:
        expected[:, :2] = np.arange(classes)[:, None]
    else:
        expected.flat[:classes] = np.arange(classes)
    assert np.array_equal(corners, expected)


def test_an_excerpt_is_what_a_full_read_gives(tmp_path: Path) -> None:
    draws = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (60, 3, 5, 4), dtype=torch.uint8, generator=draws)
    labels = torch.randint(0, 4, (60,), generator=draws)
    path = tmp_path / "set.safetensors"
    image_files.save(path, x, labels, {"classes": json.dumps(list("abcde"))})
    shown = excerpt.first_of_each_class(path, 2, 3)
    places = [place for label in range(3) for place in torch.nonzero(labels == label)[:2, 0].tolist()]
    assert torch.equal(shown.images, x[places]) and torch.equal(shown.labels, labels[places])
    with pytest.raises(UserError, match=r"absent\.safetensors"):
        excerpt.first_of_each_class(tmp_path / "absent.safetensors", 2, 3)


def test_other_class_names_are_refused(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    project = make(small={})
    drawn = image_files.load(project.folder / "small/samples.safetensors")
    names = {"classes": json.dumps(drawn.classes[::-1])}
    image_files.save(project.folder / "small/samples.safetensors", drawn.images, drawn.labels, names)
    assert stage.main(project.arguments("figures")) == 2
    assert "differ in class names" in capsys.readouterr().err
