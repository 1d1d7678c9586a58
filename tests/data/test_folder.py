"""Folders and archives of pictures as users have them."""

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diffdistill.data import folder
from diffdistill.errors import UserError

LEVELS = np.arange(0, 256, 16, dtype=np.uint8).reshape(4, 4)


def write(path: Path, image: Image.Image, kind: str, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, kind, **options)


def odd_files(root: Path) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
    """Writes one picture of each kind, returns the pixels expected of each."""
    grey = np.stack([LEVELS] * 3)
    colours = np.stack([LEVELS, LEVELS[::-1], LEVELS.T])
    rgb = Image.fromarray(colours.transpose(1, 2, 0))
    write(root / "a/grey.png", Image.fromarray(LEVELS), "PNG")
    alpha = np.where(LEVELS < 128, 0, 255).astype(np.uint8)
    write(root / "a/grey_alpha.PNG", Image.merge("LA", [Image.fromarray(LEVELS), Image.fromarray(alpha)]), "PNG")
    palette = Image.fromarray((LEVELS // 16) % 2, "L")
    palette.putpalette([200, 10, 10, 10, 200, 10])
    write(root / "a/palette.png", palette, "PNG", transparency=0)
    write(root / "a/cmyk.tif", Image.fromarray(np.stack([255 - LEVELS] * 3 + [0 * LEVELS], -1), "CMYK"), "TIFF")
    write(root / "a/one_bit.png", Image.fromarray(LEVELS > 100), "PNG")
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying; to be turned by 90 degrees clockwise
    write(root / "b/turned.png", rgb, "PNG", exif=exif)
    write(root / "b/animation.gif", Image.fromarray(LEVELS), "GIF")
    flat = Image.new("RGB", (4, 4), (200, 200, 200))
    write(root / "b/capitals.JPEG", flat, "JPEG", quality=100)
    write(root / "b/deep.png", Image.fromarray(LEVELS.astype(np.uint16) * 257), "PNG")
    write(root / "b/no_suffix", rgb, "BMP")
    (root / "b/.hidden").write_text("passed over")
    (root / "README.txt").write_text("in no class folder")
    odd = (LEVELS // 16) % 2
    return {
        "a/cmyk.tif": grey,
        "a/grey.png": grey,
        "a/grey_alpha.PNG": np.where(alpha, grey, 255),
        "a/one_bit.png": np.where(grey > 100, 255, 0),
        "a/palette.png": np.stack([np.where(odd, 10, 255), np.where(odd, 200, 255), np.where(odd, 10, 255)]),
        "b/animation.gif": grey,
        "b/capitals.JPEG": np.full((3, 4, 4), 200),
        "b/deep.png": grey,
        "b/no_suffix": colours,
        "b/turned.png": np.rot90(colours, -1, (1, 2)),
    }


def test_odd_pictures_come_out_as_expected(tmp_path: Path) -> None:
    expected = odd_files(tmp_path)
    raw = folder.read(tmp_path)
    assert raw.classes == ["a", "b"] and raw.train_labels.tolist() == [0] * 5 + [1] * 5 and raw.test_images is None
    for name, found in zip(sorted(expected), np.asarray(raw.train_images), strict=True):
        assert np.array_equal(found, expected[name]), name


def test_bad_files_are_named_in_one_error(tmp_path: Path) -> None:
    odd_files(tmp_path)
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    whole = io.BytesIO()
    Image.fromarray(noise).save(whole, "JPEG")
    (tmp_path / "a/cut.jpg").write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    (tmp_path / "a/x.png").write_text("no picture at all")
    with pytest.raises(UserError, match=r"2 files are not .*a/cut\.jpg .*a/x\.png") as caught:
        folder.read(tmp_path)
    assert "\n" not in str(caught.value)
    for index in range(13):
        (tmp_path / f"b/y{index}.png").write_bytes(b"")
    for name in ("a/notes.txt", "b/sound.OGG", "b/other.ogg"):
        (tmp_path / name).write_text("no picture")
    with pytest.raises(UserError, match=r"18 files are .*14 with \.png, such as a/x\.png .*2 with \.ogg") as caught:
        folder.read(tmp_path)
    assert len(str(caught.value)) < 700


def test_train_and_test_in_an_archive_equal_the_folder(tmp_path: Path) -> None:
    for index, name in enumerate(["train/b/1", "train/a/2", "test/a/3", "train/a/1"]):
        write(tmp_path / f"set/{name}.png", Image.new("L", (3, 2), index), "PNG")
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive, tarfile.open(tmp_path / "x.tar.xz", "w:xz") as tar:
        for file in sorted((tmp_path / "set").rglob("*.png"), reverse=True):
            archive.write(file, file.relative_to(tmp_path))
        tar.add(tmp_path / "set", "./set")
    for place in ("set", "x.zip", "x.tar.xz"):
        raw = folder.read(tmp_path / place)
        assert raw.train_images.shape == (3, 1, 2, 3) and np.asarray(raw.train_images)[:, 0, 0, 0].tolist() == [3, 1, 0]
        assert raw.train_labels.tolist() == [0, 0, 1]
        assert raw.test_images is not None and np.asarray(raw.test_images)[:, 0, 0, 0].tolist() == [2]


def test_the_size_rule(tmp_path: Path) -> None:
    pixels = np.zeros((4, 8), dtype=np.uint8)
    pixels[:, 2:6] = 90
    write(tmp_path / "a/wide.png", Image.fromarray(pixels), "PNG")
    write(tmp_path / "b/square.png", Image.new("L", (4, 4), 90), "PNG")
    with pytest.raises(UserError, match=r"2 sizes .*give the side"):
        folder.read(tmp_path)
    raw = folder.read(tmp_path, size=2)
    assert raw.train_images.shape == (2, 1, 2, 2) and (np.asarray(raw.train_images) == 90).all()


def test_layouts_that_would_give_wrong_labels_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "train/a/1.png", Image.new("L", (2, 2)), "PNG")
    write(tmp_path / "test/b/1.png", Image.new("L", (2, 2)), "PNG")
    with pytest.raises(UserError, match="test/b has no counterpart"):
        folder.read(tmp_path)
    write(tmp_path / "extra/a/1.png", Image.new("L", (2, 2)), "PNG")
    with pytest.raises(UserError, match="'extra' beside train/ can be read in two ways"):
        folder.read(tmp_path)
    write(tmp_path / "flat/1.png", Image.new("L", (2, 2)), "PNG")
    with pytest.raises(UserError, match="in no class folder"):
        folder.read(str(tmp_path / "flat"))
    with pytest.raises(UserError, match="no such file or folder"):
        folder.read(tmp_path / "absent")
