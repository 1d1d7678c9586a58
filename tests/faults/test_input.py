"""Pictures and names as people have them: right pixels and labels, or an error that names the file."""

import io
import os
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.processes import Ended
from benchmarks.tiny import JOBS, Job, contents
from PIL import Image

from diffdistill import config
from diffdistill.data import archives, cifar, folder, idx, image_files, splits
from diffdistill.data.decoding import FORMATS, decode
from diffdistill.errors import UserError
from tests.data.test_cifar import hundred, pack
from tests.data.test_idx import write as write_idx
from tests.faults import fault

LEVELS = np.arange(0, 256, 16, dtype=np.uint8).reshape(4, 4)
COLOURS = np.stack([LEVELS, LEVELS[::-1], LEVELS.T])
GREY, RGB = Image.fromarray(LEVELS), Image.fromarray(COLOURS.transpose(1, 2, 0))
SOURCE = {"kind": "folder", "validation_per_class": 1, "test_per_class": 1}


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def prepared(place: Path, source: str) -> Ended:
    """`prepare` run in `place` on a folder or archive there."""
    return prepare_job({**SOURCE, "path": source}).run(place)


def prepare_job(source: dict[str, Any]) -> Job:
    """The job `prepare` on a source that has a path."""
    return replace(JOBS["prepare"], settings={"source": source}, inputs=[("source", source["path"])])


def pictures(root: Path, classes: list[str], count: int = 3) -> None:
    """Class c has pictures of the levels 10 c, 10 c + 1, ..."""
    for label, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for index in range(count):
            Image.new("L", (8, 8), 10 * label + index).save(root / name / f"{index}.png")


@fault("F33", "a picture cut at any byte trains as half black", "it is refused, or every pixel is there")
@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_picture_cut_anywhere(kind: str, mode: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    whole = encoded(Image.fromarray(noise).convert(mode), kind)
    expected, refused = decode(whole), 0
    for length in range(0, len(whole), 3):
        try:
            found = decode(whole[:length])
        except ValueError:
            refused += 1
        else:
            assert np.array_equal(found, expected), length
    assert refused > len(whole) // 6


def modes() -> Iterator[tuple[str, bytes, np.ndarray]]:  # type: ignore[type-arg]
    """A name, a picture file, and the pixels that are to come out of it."""
    white = np.where(LEVELS == 0, 255, LEVELS)[None]
    yield "1-bit", encoded(GREY.point(lambda level: 255 * (level > 100), "1"), "PNG"), 255 * (LEVELS > 100)[None]
    yield "grey", encoded(GREY, "PNG"), LEVELS[None]
    yield "grey, one level transparent", encoded(GREY, "PNG", transparency=0), white
    deep = Image.fromarray(LEVELS.astype(np.uint16) * 257)
    yield "16-bit PNG", encoded(deep, "PNG"), LEVELS[None]
    yield "16-bit PNG, one level transparent", encoded(deep, "PNG", transparency=0), white
    yield "16-bit TIFF", encoded(deep, "TIFF"), LEVELS[None]
    big = Image.frombytes("I;16B", (4, 4), (LEVELS.astype(">u2") * 257).tobytes())
    yield "16-bit TIFF, big-endian", encoded(big, "TIFF"), LEVELS[None]
    yield "16-bit PGM", b"P5 4 4 65535\n" + (LEVELS.astype(">u2") * 257).tobytes(), LEVELS[None]
    alpha = Image.fromarray(np.where(LEVELS < 128, 0, 255).astype(np.uint8))
    over_white = np.where(LEVELS < 128, 255, COLOURS)
    yield "colours with alpha", encoded(Image.merge("RGBA", [*RGB.split(), alpha]), "PNG"), over_white
    grey_over_white = np.where(LEVELS < 128, 255, LEVELS)[None]
    yield "grey with alpha", encoded(Image.merge("LA", [GREY, alpha]), "PNG"), grey_over_white
    yield "one colour transparent", encoded(RGB, "PNG", transparency=(0, 192, 0)), np.where(LEVELS == 0, 255, COLOURS)
    palette = RGB.quantize(16)
    shown = np.asarray(palette.convert("RGB")).transpose(2, 0, 1)
    yield "palette", encoded(palette, "PNG"), shown
    first = np.asarray(palette)[0, 0]
    hidden = np.where(np.asarray(palette) == first, 255, shown)
    yield "palette, one colour transparent", encoded(palette, "PNG", transparency=int(first)), hidden
    yield "GIF", encoded(palette, "GIF"), shown
    yield "animation", encoded(palette, "GIF", save_all=True, append_images=[GREY.convert("P")]), shown
    yield "two frames", encoded(RGB, "WEBP", lossless=True, save_all=True, append_images=[RGB.rotate(90)]), COLOURS
    yield "CMYK", encoded(RGB.convert("CMYK"), "TIFF"), COLOURS
    yield (
        "YCbCr",
        encoded(RGB.convert("YCbCr"), "TIFF"),
        np.asarray(RGB.convert("YCbCr").convert("RGB")).transpose(2, 0, 1),
    )
    yield "lossless WebP", encoded(RGB, "WEBP", lossless=True), COLOURS
    yield "BMP", encoded(RGB, "BMP"), COLOURS
    turned = [
        COLOURS, COLOURS[..., ::-1], COLOURS[:, ::-1, ::-1], COLOURS[:, ::-1], COLOURS.transpose(0, 2, 1),
        np.rot90(COLOURS, -1, (1, 2)), COLOURS[:, ::-1, ::-1].transpose(0, 2, 1), np.rot90(COLOURS, 1, (1, 2)),
    ]  # fmt: skip
    for turn, expected in enumerate(turned, start=1):
        exif = Image.Exif()
        exif[0x0112] = turn
        yield f"turned by EXIF {turn}", encoded(RGB, "PNG", exif=exif), expected


@fault(
    "F33",
    "grey, palette, CMYK, 16-bit, transparent or turned pictures come out wrong",
    "each kind has the pixels it shows",
)
@pytest.mark.parametrize(("data", "expected"), [pytest.param(data, pixels, id=name) for name, data, pixels in modes()])
def test_every_kind_of_picture(data: bytes, expected: np.ndarray) -> None:  # type: ignore[type-arg]
    assert np.array_equal(decode(data), expected)


@fault("F33", "32-bit pixels, whose range nobody knows, train as black", "they are refused by name")
@pytest.mark.parametrize("mode", ["I", "F"])
def test_pixels_of_unknown_range_are_refused(mode: str) -> None:
    with pytest.raises(ValueError, match="range is unknown"):
        decode(encoded(Image.fromarray(LEVELS.astype({"I": np.int32, "F": np.float32}[mode])), "TIFF"))


@fault("F33", "a picture that is odd but readable fills the log with warnings", "no line is written about it")
def test_no_warnings_about_odd_pictures() -> None:
    cut = encoded(RGB, "TIFF", compression="tiff_lzw")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for length in range(0, len(cut), 7):
            try:
                decode(cut[:length])
            except ValueError as error:
                assert "Warning" not in str(error)


@fault("F33", "a picture says by its name what it is not", "the content decides; what is no picture is named")
def test_names_that_lie(tmp_path: Path) -> None:
    pictures(tmp_path / "set", ["a", "b"])
    (tmp_path / "set/a/jpeg.PNG").write_bytes(encoded(Image.new("L", (8, 8), 5), "JPEG", quality=100))
    (tmp_path / "set/a/png.JPEG").write_bytes(encoded(Image.new("L", (8, 8), 6), "PNG"))
    (tmp_path / "set/b/noending").write_bytes(encoded(Image.new("L", (8, 8), 7), "GIF"))
    assert len(folder.read(tmp_path / "set").train_labels) == 9
    (tmp_path / "set/b/page.png").write_text("<html>not found</html>")
    (tmp_path / "set/b/drawing.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n(%pipe%touch ran) (w) file\n")
    prepared(tmp_path, "set").refused("2 files are not", "b/drawing.png", "b/page.png")
    assert not (tmp_path / "data").exists() and not (tmp_path / "ran").exists()


NAMES = [
    "with blank", "quo'te", 
    'double"quote', "bra{c}e", "ünïcödé 猫", "-dash", "--config", "a,b;c", "$HOME", "back\\slash",
    "[1]*?", "a=b", "%s %d", "\\N", "tab\there", "new\nline", "x" * 200,
]  # fmt: skip


@fault("F33", "blanks, quotes, braces, dashes or letters of other alphabets in names", "they are names like any other")
def test_odd_names_of_classes_and_files(tmp_path: Path) -> None:
    pictures(tmp_path / "set", NAMES)
    for name in NAMES:
        Image.new("L", (8, 8), 250).save(tmp_path / "set" / name / f"{name}.png")
    ended = prepared(tmp_path, "set")
    assert ended.code == 0, ended.said
    train = image_files.load(tmp_path / "data/train.safetensors")
    assert train.classes == sorted(NAMES)
    order = sorted(NAMES)
    for image, label in zip(train.images, train.labels, strict=True):
        level = int(image[0, 0, 0])
        assert level == 250 or order[int(label)] == NAMES[level // 10]


@fault(
    "F33", "hidden files and folders, as file managers leave them, become classes or change the checksum", "passed over"
)
def test_hidden_files_are_passed_over(tmp_path: Path) -> None:
    pictures(tmp_path / "set", ["a", "b"])
    before = folder.read(tmp_path / "set")
    for name in (".DS_Store", "a/.DS_Store", "a/._0.png", ".cache/x.png", "a/.#lock"):
        (tmp_path / "set" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "set" / name).write_text("nothing")
    after = folder.read(tmp_path / "set")
    assert after.classes == before.classes == ["a", "b"] and after.checksum == before.checksum
    assert np.array_equal(after.train_images, before.train_images)


@fault(
    "F33",
    "linked class folders are passed over in silence",
    "links are followed; one to nothing or in a circle is named",
)
def test_links_in_a_folder(tmp_path: Path) -> None:
    pictures(tmp_path / "elsewhere", ["c"])
    pictures(tmp_path / "set", ["a", "b"])
    (tmp_path / "set/c").symlink_to(tmp_path / "elsewhere/c")
    (tmp_path / "set/a/linked.png").symlink_to(tmp_path / "elsewhere/c/0.png")
    raw = folder.read(tmp_path / "set")
    assert raw.classes == ["a", "b", "c"] and np.bincount(raw.train_labels).tolist() == [4, 3, 3]
    (tmp_path / "set/b/gone.png").symlink_to("nowhere")
    prepared(tmp_path, "set").refused("b/gone.png", "a link to nothing")
    (tmp_path / "set/b/gone.png").unlink()
    os.mkfifo(tmp_path / "set/b/pipe.png")
    prepared(tmp_path, "set").refused("b/pipe.png", "neither a file nor a folder")
    (tmp_path / "set/b/pipe.png").unlink()
    (tmp_path / "set/b/circle").symlink_to(tmp_path / "set")
    prepared(tmp_path, "set").refused("circle", "a link back")


@fault(
    "F33",
    "a name that is not valid text breaks the job after hours, or its report",
    "it is refused at once, in one line",
)
def test_names_that_are_no_text(tmp_path: Path) -> None:
    pictures(tmp_path / "set", ["a", "b"])
    broken = os.fsencode(tmp_path / "set/b") + b"/\xff\xfe.png"
    with open(broken, "wb") as file:  # noqa: PTH123
        file.write(encoded(GREY, "PNG"))
    prepared(tmp_path, "set").refused("set", "not valid UTF-8")
    assert not (tmp_path / "data").exists()


@fault(
    "F02",
    "train and test pictures of two sizes, or one class alone, train without an error",
    "they are refused, with both",
)
def test_sets_that_cannot_be_learnt_from(tmp_path: Path) -> None:
    pictures(tmp_path / "one", ["alone"])
    prepared(tmp_path, "one").refused("['alone']", "at least two")
    (tmp_path / "idx").mkdir()
    write_idx(tmp_path / "idx", np.zeros((20, 8, 8)), np.arange(20) % 2)
    write_idx(tmp_path / "idx", np.zeros((4, 16, 16)), np.arange(4) % 2, "t10k")
    job = prepare_job({"kind": "idx", "path": "idx", "validation_per_class": 1})
    job.run(tmp_path).refused("(1, 16, 16)", "(1, 8, 8)")
    pictures(tmp_path / "few", ["a", "b"], count=2)
    prepared(tmp_path, "few").refused("2 classes have too few images", "'a' has 2, 'b' has 2", "lower source.")
    with pytest.raises(UserError, match="no images"):
        splits.cut(np.zeros(0, dtype=np.int64), per_class=1, seed=0)
    assert not (tmp_path / "data").exists()


@fault(
    "F31",
    "a web page, a text or nothing was saved in the place of the archive",
    "it is refused by its name, in one line",
)
@pytest.mark.parametrize(
    "content", [b"", b"<!DOCTYPE html><html>quota exceeded</html>", b"PK", b"\x1f\x8b", b"version https://git-lfs"]
)
@pytest.mark.parametrize("kind", ["cifar100", "tinyimagenet", "folder", "idx"])
def test_what_is_no_archive(tmp_path: Path, content: bytes, kind: str) -> None:
    (tmp_path / "set.zip").write_bytes(content)
    job = prepare_job({**SOURCE, "kind": kind, "path": "set.zip"})
    before = contents(tmp_path)
    job.run(tmp_path).refused("set.zip", "not a whole zip or tar archive", "fetch it again")
    assert contents(tmp_path) == before


@fault("F31", "a tar whose last picture folder is a zip is read as that zip", "the first bytes say what an archive is")
def test_an_archive_in_an_archive(tmp_path: Path) -> None:
    import tarfile

    with zipfile.ZipFile(tmp_path / "inner.zip", "w") as inner:
        inner.writestr("b/wrong.png", encoded(GREY, "PNG"))
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        archive.add(tmp_path / "inner.zip", "z/inner.zip")
    assert zipfile.is_zipfile(tmp_path / "x.tar")
    assert archives.names(tmp_path / "x.tar") == ["z/inner.zip"]


@fault("F02", "labels that are no class numbers", "the file that has them is named")
@pytest.mark.parametrize("label", [10**30, -1, 3])
def test_labels_that_are_no_class_numbers(tmp_path: Path, label: int) -> None:
    content = {"data": np.zeros((2, 3072), np.uint8), "fine_labels": [0, label]}
    with pytest.raises(UserError, match=r"no class number|class names") as caught:
        cifar.read(pack(tmp_path / "x.tar.gz", hundred(test=content)))
    assert "x.tar.gz" in str(caught.value)


@fault("F33", "an IDX file claims more than it holds", "it is refused before any room is made for it")
def test_an_idx_file_that_claims_gigabytes(tmp_path: Path) -> None:
    write_idx(tmp_path, np.zeros((4, 8, 8)), np.arange(4) % 2)
    head = b"\0\0\x08\x03" + (1 << 20).to_bytes(4, "big") * 2 + (1024).to_bytes(4, "big")
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(head)
    with pytest.raises(UserError, match="not plausible"):
        idx.read(tmp_path)


@fault("F32", "braces in a path mean something else to the workflow", "such a path is refused where it is configured")
@pytest.mark.parametrize("path", ["data/{name}.zip", "a\nb.zip"])
def test_paths_that_the_workflow_cannot_take(path: str) -> None:
    with pytest.raises(UserError, match=r"path: .*braces or control characters"):
        config.read(config.Source, {"kind": "cifar100", "path": path, "validation_per_class": 1}, "x.yaml")
    with pytest.raises(UserError, match=r"inception_weights: .*braces or control characters"):
        config.read(config.Fid, {"every": 1, "images": 1, "inception_weights": path}, "x.yaml")


@fault(
    "F33",
    "the command in the log, pasted into a shell, breaks at blanks and quotes",
    "it is quoted and repeats the job",
)
def test_the_logged_command_repeats_the_job(project: Path) -> None:
    odd = "a 'quoted' $HOME"
    command = [sys.executable, "-m", "diffdistill", "accuracy", "--log", f"{odd}.log"]
    command += [
        "--settings",
        '{"experiment": "digits"}',
        "--in",
        "accuracy=accuracy/0.json",
        "--out",
        f"table={odd}.csv",
    ]
    assert subprocess.run(command, cwd=project, capture_output=True).returncode == 0
    made = (project / f"{odd}.csv").read_bytes()
    (project / f"{odd}.csv").unlink()
    logged = (project / f"{odd}.log").read_text().splitlines()[0].split(" command: ", 1)[1]
    assert subprocess.run(logged, shell=True, cwd=project, capture_output=True).returncode == 0
    assert (project / f"{odd}.csv").read_bytes() == made
