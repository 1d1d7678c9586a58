import json
import warnings
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from diffdistill.data import image_files
from diffdistill.errors import UserError
from diffdistill.report import excerpt, mosaics, style


def numbered(classes: int, side: int, per_class: int = 2, titles: list[str] | None = None) -> image_files.ImageSet:
    """Each image is of one grey, its label."""
    labels = torch.arange(classes).repeat(per_class)
    x = labels.to(torch.uint8).reshape(-1, 1, 1, 1).expand(-1, 1, side, side)
    names = [f"name {label}" for label in range(classes)]
    metadata = {"classes": json.dumps(names), **({"class_titles": json.dumps(titles)} if titles else {})}
    return image_files.ImageSet(x, labels, names, metadata)


def pictures(figure: Figure) -> list[np.ndarray[Any, Any]]:
    return [np.asarray(axes.images[0].get_array())[:, :, 0] for axes in figure.axes]


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.texts]


def test_no_pixel_of_a_shown_image_is_resampled(tmp_path: Path) -> None:
    """16 grey levels in, each back as a square of whole pixels in the png."""
    x = torch.arange(16, dtype=torch.uint8).mul(17).reshape(1, 1, 4, 4)
    metadata = {"classes": json.dumps(["$only"])}
    image_files.save(tmp_path / "x.safetensors", x, torch.zeros(1, dtype=torch.int64), metadata)
    shown = excerpt.first_images(tmp_path / "x.safetensors", [0], 10)
    for figure, scale, times in (
        (mosaics.samples(shown, shown, ["$only"], [0]), 16, 2),  # left and right
        (mosaics.one_of_each(shown, ["$only"]), 32, 1),
    ):
        style.save(figure, tmp_path / "x.png")
        picture = (matplotlib.image.imread(tmp_path / "x.png")[:, :, 0] * 255).round().astype(np.uint8)
        square = x[0, 0].numpy().repeat(scale, axis=0).repeat(scale, axis=1)
        side = 4 * scale
        found = [
            (row, column)
            for row, column in np.argwhere(picture[: 1 - side, : 1 - side] == 0)
            if np.array_equal(picture[row : row + side, column : column + side], square)
        ]
        assert len(found) == times


@pytest.mark.parametrize(("classes", "shown"), [(3, [0, 1, 2]), (20, [*range(20)]), (200, [*range(0, 200, 20)])])
def test_samples_has_a_row_per_class_or_of_some_classes(classes: int, shown: list[int]) -> None:
    images = numbered(classes, 64)
    figure = mosaics.samples(images, images, images.classes, mosaics.rows_shown([2] * classes))
    for picture in pictures(figure):
        assert picture.shape == (68 * len(shown), 68 * 10)
        corners = picture[::68, ::68]
        assert np.array_equal(corners[:, :2], np.array([shown, shown]).T) and (corners[:, 2:] == 255).all()
    part = "" if len(shown) == classes else f": {len(shown)} of {classes} classes"
    assert texts(figure) == [f"generated{part}", f"real{part}", *(f"name {label}" for label in shown)]


@pytest.mark.parametrize(("classes", "blocks"), [(1, [1]), (12, [12]), (100, [100]), (250, [100, 100, 50])])
def test_one_image_of_each_class_ten_to_a_row_in_blocks_of_a_hundred(classes: int, blocks: list[int]) -> None:
    images = numbered(classes, 64)
    figure = mosaics.one_of_each(images, images.classes)
    shown = pictures(figure)
    assert len(shown) == len(blocks)
    first = 0
    for picture, count in zip(shown, blocks, strict=True):
        columns, rows = min(10, classes), -(-count // 10)
        corners = picture[:: picture.shape[0] // rows, :: picture.shape[1] // columns].ravel()
        assert corners[:count].tolist() == list(range(first, first + count)) and (corners[count:] == 255).all()
        first += count
    titles = [f"classes {100 * block} to {100 * block + count - 1}" for block, count in enumerate(blocks)]
    named = [text for text in texts(figure) if text.startswith("classes")]
    assert named == (titles if len(blocks) > 1 else [])
    assert sorted(set(texts(figure)) - set(named)) == sorted(images.classes)


def test_the_place_of_a_class_without_an_image_is_white() -> None:
    images = numbered(3, 64, per_class=1)
    generated = image_files.ImageSet(images.images[:2], images.labels[:2], images.classes, images.metadata)
    (picture,) = pictures(mosaics.one_of_each(generated, images.classes))
    assert picture[0, :: picture.shape[1] // 3].tolist() == [0, 1, 255]
    empty = image_files.ImageSet(images.images[:0], images.labels[:0], images.classes, images.metadata)
    with pytest.raises(UserError, match="no images"):
        mosaics.one_of_each(empty, images.classes)


def test_titles_stand_for_codes_and_long_ones_end_in_an_ellipsis() -> None:
    titles = ["goldfish, Carassius auratus", "European fire salamander", "x" * 40, "pickup_truck", "three words of it"]
    images = numbered(5, 64, titles=titles)
    said = texts(mosaics.one_of_each(images, titles))
    assert said == [
        "goldfish", "European fire", "salamander", "x" * 14, f"{'x' * 13}…", "pickup truck", "three words of", "it",
    ]  # fmt: skip
    rows = texts(mosaics.samples(images, images, titles, range(5)))[2:]
    assert rows == ["goldfish", "European fire…", f"{'x' * 13}…", "pickup truck", "three words o…"]


def test_no_name_runs_into_the_next() -> None:
    """The widest of TinyImageNet's."""
    titles = ["German shepherd", "swimming trunks", "sewing machine", "mashed potato"] * 5
    images = numbered(20, 64, titles=titles)
    figure = mosaics.one_of_each(images, titles)
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [text.get_window_extent(renderer) for text in figure.texts]
    assert not any(one.overlaps(other) for place, one in enumerate(boxes) for other in boxes[:place])
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.width and box.y0 >= 0 for box in boxes)


def test_of_many_classes_those_with_images_are_shown() -> None:
    """G17: fewer images than classes."""
    per_class = [0] * 50
    per_class[7] = per_class[30] = 1
    assert mosaics.rows_shown(per_class) == [7, 30] and mosaics.rows_shown([0, 3, 0]) == [0, 1, 2]


def test_a_set_with_fewer_images_than_classes_is_shown_as_it_is() -> None:
    images = numbered(3, 64, per_class=1)
    few = image_files.ImageSet(images.images[2:], images.labels[2:], images.classes, images.metadata)
    left, right = pictures(mosaics.samples(few, images, images.classes, range(3)))
    assert left[::68, 0].tolist() == [255, 255, 2] and right[::68, 0].tolist() == [0, 1, 2]


def test_names_in_other_letters_are_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = numbered(3, 64)
    titles = ["cat", "猫", "犬, dog"]
    for figure in (mosaics.one_of_each(images, titles), mosaics.samples(images, images, titles, range(3))):
        assert {"cat", "class 1", "class 2"} <= set(texts(figure))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            style.save(figure, tmp_path / "x.png")
    assert "glyph" not in capsys.readouterr().err.lower()


@pytest.mark.parametrize("ending", ["pdf", "png"])
def test_no_name_of_a_class_stops_a_figure(tmp_path: Path, ending: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Scripts that the font has or lacks, marks that join, formulas, control characters, nothing at all."""
    titles = [
        "чашка", "قطة", "कुत्ता", "고양이", "🐈", "👩\u200d🔬", "e\u0301te\u0301", "$\\frac{1}{", "a\nb", "a\tb\x07", "",
        "_", "…", "w" * 300, "\u202eabc", "\ufeffa", "{x} %s \\", ", ", "\u0000a", "\U0001d538",
    ]  # fmt: skip
    images = numbered(len(titles), 8, titles=titles)
    for figure in (mosaics.one_of_each(images, titles), mosaics.samples(images, images, titles, range(len(titles)))):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            style.save(figure, tmp_path / f"x.{ending}")
    assert "glyph" not in capsys.readouterr().err.lower()


def test_the_closest_pairs_come_first() -> None:
    generated = torch.arange(3, dtype=torch.uint8).reshape(3, 1, 1, 1).expand(3, 1, 4, 4)
    distances = torch.tensor([[1.0, 2.0], [0.0, 2.0], [3.0, 3.0]])
    figure = mosaics.closest_pairs(generated, generated.flip(0), distances, torch.zeros(3, 2, dtype=torch.int64))
    shown = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title(loc="center") for axes in shown] == ["0.00", "0.50", "1.00"]
    first = np.asarray(shown[0].images[0].get_array())[0, :, 0].tolist()
    assert first == [1] * 4 + [255] + [2] * 4
