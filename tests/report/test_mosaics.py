import json
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
from diffdistill.report import excerpt, figures, mosaics


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
    shown = excerpt.first_of_each_class(tmp_path / "x.safetensors", 10, 200)
    for figure, scale, times in (
        (mosaics.samples(shown, shown), 16, 2),  # left and right
        (mosaics.one_of_each(shown, ["$only"]), 32, 1),
    ):
        figures.save(figure, tmp_path / "x.png")
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
def test_samples_has_a_row_a_class_or_a_spread_of_classes(classes: int, shown: list[int]) -> None:
    images = numbered(classes, 64)
    figure = mosaics.samples(images, images)
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


def test_a_class_that_was_not_drawn_leaves_its_place_white() -> None:
    images = numbered(3, 64, per_class=1)
    drawn = image_files.ImageSet(images.images[:2], images.labels[:2], images.classes, images.metadata)
    (picture,) = pictures(mosaics.one_of_each(drawn, images.classes))
    assert picture[0, :: picture.shape[1] // 3].tolist() == [0, 1, 255]
    empty = image_files.ImageSet(images.images[:0], images.labels[:0], images.classes, images.metadata)
    with pytest.raises(UserError, match="empty"):
        mosaics.one_of_each(empty, images.classes)


def test_titles_stand_for_codes_and_long_ones_end_in_an_ellipsis() -> None:
    titles = ["goldfish, Carassius auratus", "European fire salamander", "x" * 40, "pickup_truck", "three words of it"]
    images = numbered(5, 64, titles=titles)
    said = texts(mosaics.one_of_each(images, excerpt.titles(images.metadata)))
    assert said == [
        "goldfish", "European fire", "salamander", "x" * 14, f"{'x' * 13}…", "pickup truck", "three words of", "it",
    ]  # fmt: skip
    rows = texts(mosaics.samples(images, images))[2:]
    assert rows == ["goldfish", "European fire…", f"{'x' * 13}…", "pickup truck", "three words o…"]


def test_no_name_runs_into_the_next() -> None:
    """The widest of TinyImageNet's, as they are drawn."""
    titles = ["German shepherd", "swimming trunks", "sewing machine", "mashed potato"] * 5
    images = numbered(20, 64, titles=titles)
    figure = mosaics.one_of_each(images, titles)
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [text.get_window_extent(renderer) for text in figure.texts]
    assert not any(one.overlaps(other) for place, one in enumerate(boxes) for other in boxes[:place])
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.width and box.y0 >= 0 for box in boxes)


def test_an_excerpt_is_what_a_full_read_gives(tmp_path: Path) -> None:
    draws = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (60, 3, 5, 4), dtype=torch.uint8, generator=draws)
    labels = torch.randint(0, 4, (60,), generator=draws)
    path = tmp_path / "set.safetensors"
    image_files.save(path, x, labels, {"classes": json.dumps(list("abcde"))})
    for most, classes in ((3, (0, 1, 3)), (5, range(5))):
        shown = excerpt.first_of_each_class(path, 2, most)
        places = [place for label in classes for place in torch.nonzero(labels == label)[:2, 0].tolist()]
        assert torch.equal(shown.images, x[places]) and torch.equal(shown.labels, labels[places])
    with pytest.raises(UserError, match=r"absent\.safetensors"):
        excerpt.first_of_each_class(tmp_path / "absent.safetensors", 2, 3)
