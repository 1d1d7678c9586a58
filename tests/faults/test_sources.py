"""Folders as users have them: the labels that were meant, or one line that says what can be meant."""

import logging
import os
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diffdistill.config import Source
from diffdistill.data import archives, readers, tree
from diffdistill.data.raw import RawData
from diffdistill.errors import UserError
from tests import command
from tests.data.pictures import classes, packed, png16, put, tiff
from tests.data.test_idx import write as write_idx
from tests.faults import fault

KINDS = ("folder", "zip", "gztar")


def read(path: Path, **keys: Any) -> RawData:
    """A folder or archive of pictures, read as the stage does."""
    block = {"kind": "folder", "path": str(path), "validation_per_class": 1, "test_per_class": 1} | keys
    return readers.read(path, Source.model_validate(block))


def prepared(path: Path, place: Path, **keys: Any) -> int:
    """The exit code of `prepare` on a source."""
    block = {"kind": "folder", "path": str(path), "validation_per_class": 1, "test_per_class": 1} | keys
    block = {key: value for key, value in block.items() if value is not None}
    outputs = {name: place / f"{name}.safetensors" for name in ("train", "validation", "test")}
    return command.run("prepare", {"source": block}, {"source": path}, outputs)


def counts(raw: RawData) -> dict[str, int]:
    return {name: len(split.labels) for name, split in raw.splits.items()}


@fault("F50", "Training/ and Testing/ become two classes", "usual names of splits are understood in any case")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "names",
    [("Training", "Testing"), ("TRAIN", "TEST"), ("train", "test"), ("training", "Test"), ("Train", "testing")],
)
def test_usual_names_of_splits(tmp_path: Path, kind: str, names: tuple[str, str]) -> None:
    train, test = names
    put(tmp_path / "set", *classes(3, f"{train}/cat", f"{train}/dog"), *classes(2, f"{test}/cat", f"{test}/dog"))
    raw = read(packed(tmp_path / "set", kind))
    assert raw.classes == ["cat", "dog"] and counts(raw) == {"train": 6, "test": 4}


@fault("F50", "folders of splits with other names become classes", "refused with both readings, or named in the config")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("names", [("part1", "part2"), ("images_tr", "images_te"), ("fold0", "fold1")])
def test_unusual_names_of_splits(tmp_path: Path, kind: str, names: tuple[str, str]) -> None:
    put(tmp_path / "set", *classes(3, *(f"{name}/{label}" for name in names for label in ("cat", "dog"))))
    source = packed(tmp_path / "set", kind)
    listed = ", ".join(sorted(names))
    with pytest.raises(UserError, match=f"{listed} are splits with the classes cat, dog, or they are the classes"):
        read(source)
    raw = read(source, splits={"train": names[0], "test": names[1]})
    assert raw.classes == ["cat", "dog"] and counts(raw) == {"train": 6, "test": 6}
    raw = read(source, splits={})
    assert raw.classes == sorted(names) and counts(raw) == {"train": 12}


@fault("F50", "a class that is called train is refused as a stray folder", "what it holds says what it is")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("others", [("bus", "car"), ("Test", "bus"), ("bus", "val")])
def test_a_class_called_train(tmp_path: Path, kind: str, others: tuple[str, str]) -> None:
    put(tmp_path / "set", *classes(3, "train", *others))
    assert read(packed(tmp_path / "set", kind)).classes == sorted(["train", *others])


@fault("F50", "train/ beside other folders can mean two things", "it is refused with both readings")
def test_splits_or_classes(tmp_path: Path) -> None:
    put(tmp_path / "a", *classes(3, "train/cat", "train/dog", "plane"))
    with pytest.raises(UserError, match=r"train split with the classes cat, dog, or plane, train are the classes"):
        read(tmp_path / "a")
    put(tmp_path / "b", *classes(3, "train", "test"))
    with pytest.raises(UserError, match=r"in no class folder.* or say that the folders test, train are classes"):
        read(tmp_path / "b")
    assert read(tmp_path / "b", splits={}).classes == ["test", "train"]
    put(tmp_path / "c", *classes(3, "train/cat", "Training/dog"))
    with pytest.raises(UserError, match=r"Training/ and train/ both mean train"):
        read(tmp_path / "c")
    put(tmp_path / "d", *classes(3, "test/cat", "val/cat"))
    with pytest.raises(UserError, match="no train/"):
        read(tmp_path / "d")
    put(tmp_path / "e", *classes(3, "train/cat", "train/dog"), "test/1.png", "test/2.png")
    with pytest.raises(UserError, match=r"test/1\.png is in no class folder, so it has no label; skip test/"):
        read(tmp_path / "e")
    assert counts(read(tmp_path / "e", skip=["test"])) == {"train": 6}


@fault("F50", "the folder above a data set is given", "it is refused, and the right one is named")
def test_the_folder_above(tmp_path: Path) -> None:
    put(tmp_path, *classes(3, "flowers/train/a", "flowers/train/b", "flowers/test/a", "flowers/test/b"))
    assert counts(read(tmp_path)) == {"train": 6, "test": 6}
    put(tmp_path, *classes(2, "other/pictures"))
    with pytest.raises(UserError, match="flowers/ is a data set of its own"):
        read(tmp_path)
    put(tmp_path / "inside", *classes(3, "cat/train", "cat/test", "dog/train", "dog/test"))
    with pytest.raises(UserError, match=r"cat, dog each hold folders of splits: .* or classes whose images are split"):
        read(tmp_path / "inside")


@fault("F50", "a folder of validation images is passed over", "it is the validation split, or refused with the key")
@pytest.mark.parametrize("name", ["val", "valid", "Validation"])
def test_a_folder_of_validation_images(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "set", *classes(3, "train/a", "train/b"), *classes(2, f"{name}/a", f"{name}/b", "test/a", "test/b"))
    assert counts(read(tmp_path / "set")) == {"train": 6, "validation": 4, "test": 4}
    assert prepared(tmp_path / "set", tmp_path / "out", validation_per_class=None, test_per_class=None) == 0
    assert {file.stem for file in (tmp_path / "out").iterdir()} == {"train", "validation", "test"}
    assert prepared(tmp_path / "set", tmp_path / "again") == 2 and not (tmp_path / "again").exists()


@fault("F51", "labels 1, 2, 3 make a class 0 that nobody ever saw", "it is refused by name, or dropped as asked")
def test_labels_that_start_at_one(tmp_path: Path) -> None:
    write_idx(tmp_path, np.zeros((9, 8, 8)), np.arange(9) % 3 + 1)
    source = {"kind": "idx", "path": str(tmp_path), "validation_per_class": 1, "test_per_class": 1}
    with pytest.raises(UserError, match="no train image of class '0'"):
        readers.read(tmp_path, Source.model_validate(source))
    raw = readers.read(tmp_path, Source.model_validate(source | {"empty_classes": "drop"}))
    assert raw.classes == ["1", "2", "3"] and raw.train_labels.tolist() == [0, 1, 2] * 3
    write_idx(tmp_path, np.zeros((3, 8, 8)), np.array([1, 2, 5]), "t10k")
    with pytest.raises(UserError, match="3 classes: '0', '4', '5'"):
        readers.read(tmp_path, Source.model_validate(source))
    with pytest.raises(UserError, match="class '5' has images in test, but none in train"):
        readers.read(tmp_path, Source.model_validate(source | {"empty_classes": "drop"}))


@fault("F51", "an empty class folder vanishes, and later classes move up by one", "it is refused by name, or dropped")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("split", ["", "train/"])
@pytest.mark.parametrize("left", [None, ".DS_Store", "Thumbs.db"])
def test_an_empty_class_folder(tmp_path: Path, kind: str, split: str, left: str | None) -> None:
    put(tmp_path / "set", *classes(3, f"{split}a", f"{split}c"), f"{split}b/")
    if left is not None:
        (tmp_path / "set" / split / "b" / left).write_text("nothing")
    source = packed(tmp_path / "set", kind)
    with pytest.raises(UserError, match="no train image of class 'b'"):
        read(source)
    assert read(source, empty_classes="drop").classes == ["a", "c"]


@fault("F51", "a class is absent from the test split", "a warning names it")
def test_a_class_absent_from_test(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("diffdistill").propagate = True
    put(tmp_path, *classes(3, "train/a", "train/b", "train/c", "test/a"))
    read(tmp_path)
    assert "the test split has no image of 2 classes: 'b', 'c'" in caplog.text


LEFT = [
    "a/@eaDir/0.png", "@eaDir/x.png", "a/@eaDir/0.png@SynoEAStream", "__MACOSX/a/._0.png", ".DS_Store", "a/.DS_Store",
    "a/._0.png", "a/Thumbs.db", "a/desktop.ini", "Desktop.ini", "#recycle/a/1.png", "lost+found/1.png",
    "$RECYCLE.BIN/1.png", "System Volume Information/1.png", "@Recycle/a/1.png", "a/.picasa.ini", ".Trashes/1.png",
    "#snapshot/a/1.png", "a/ehthumbs.db", "a/.@__thumb/1.png",
]  # fmt: skip


@fault(
    "F33", "what operating systems and storage servers leave becomes a class or an image", "left out everywhere alike"
)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", LEFT)
def test_what_systems_leave(tmp_path: Path, kind: str, name: str, caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("diffdistill").setLevel(logging.INFO)
    logging.getLogger("diffdistill").propagate = True
    put(tmp_path / "set", *classes(2, "a", "b"))
    before = read(tmp_path / "set")
    (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "set" / name).write_bytes(b"nothing")
    after = read(packed(tmp_path / "set", kind))
    assert after.classes == ["a", "b"] and after.train_labels.tolist() == before.train_labels.tolist()
    assert "left out what operating systems" in caplog.text
    if kind == "folder":
        assert after.checksum == before.checksum
        assert tree.fingerprint(tmp_path / "set") == tree.fingerprint(put(tmp_path / "set"))


@fault(
    "F33", "descriptions beside pictures end in a list of thousands of paths", "they are skipped, or counted by ending"
)
@pytest.mark.parametrize("kind", KINDS)
def test_foreign_files(tmp_path: Path, kind: str) -> None:
    put(tmp_path / "set", *classes(20, "a", "b"))
    for number in range(30):
        (tmp_path / f"set/a/{number}.TXT").write_text("a description")
    (tmp_path / "set/b/song.ogg").write_text("music")
    source = packed(tmp_path / "set", kind)
    with pytest.raises(UserError, match=r"31 files are not .*30 with \.txt, such as a/0\.TXT .*1 with \.ogg") as caught:
        read(source)
    assert len(str(caught.value)) < 500
    assert counts(read(source, skip=["*.txt", "*.ogg"])) == {"train": 40}
    assert counts(read(source, skip=["*.txt", "b/*.ogg", "a/1*.png"])) == {"train": 29}


@fault(
    "F33", "folders below a class folder are refused or become classes", "read as torchvision's ImageFolder reads them"
)
@pytest.mark.parametrize("kind", KINDS)
def test_nested_folders_are_read_as_torchvision_does(tmp_path: Path, kind: str) -> None:
    from torchvision.datasets import ImageFolder

    names = ["rose/1.png", "rose/2019/x/2.png", "rose/2020/3.png", "tulip/red/4.png", "tulip/5.png"]
    put(tmp_path / "set", *names)
    raw, theirs = read(packed(tmp_path / "set", kind)), ImageFolder(str(tmp_path / "set"))
    expected = {os.path.relpath(path, tmp_path / "set"): label for path, label in theirs.samples}
    assert raw.train.names is not None and raw.classes == theirs.classes
    assert dict(zip(raw.train.names, raw.train_labels.tolist(), strict=True)) == expected


@fault("F54", "a name composed in one place and decomposed in another is two classes", "names are compared by NFC")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("train_form", ["NFC", "NFD"])
def test_composed_and_decomposed_names(tmp_path: Path, kind: str, train_form: Any) -> None:
    name, other = (
        unicodedata.normalize(form, "café") for form in (train_form, "NFC" if train_form == "NFD" else "NFD")
    )
    put(tmp_path / "set", *classes(3, f"train/{name}", "train/b", f"test/{other}", "test/b"))
    raw = read(packed(tmp_path / "set", kind))
    assert raw.classes == ["b", unicodedata.normalize("NFC", "café")] and counts(raw) == {"train": 6, "test": 6}


ALIKE = [
    ("caf\u00e9", "cafe\u0301", "U+00E9", "U+0065 U+0301"),
    ("cat", "\u0441at", "U+0063", "U+0441"),
    ("Ab", "\u0391b", "U+0041", "U+0391"),
    ("ab", "a\u200bb", "U+0062", "U+200B"),
    ("a b", "a\u00a0b", "U+0020", "U+00A0"),
    ("file", "\ufb01le", "U+0066", "U+FB01"),
    ("a-b", "a\u2010b", "U+002D", "U+2010"),
    ("a", "a ", "nothing more", "U+0020"),
]


@fault("F54", "two classes have names that print alike", "refused with the code points that differ")
@pytest.mark.parametrize(("one", "other", "point", "other_point"), ALIKE)
def test_names_that_print_alike(tmp_path: Path, one: str, other: str, point: str, other_point: str) -> None:
    put(tmp_path / "set", *classes(3, one, other))
    with pytest.raises(UserError, match="print alike") as caught:
        read(tmp_path / "set")
    assert point in str(caught.value) and other_point in str(caught.value)


@fault("F54", "train and test name a class in letters of two alphabets", "refused with the code points that differ")
def test_names_that_print_alike_in_two_splits(tmp_path: Path) -> None:
    put(tmp_path, *classes(3, "train/cat", "train/dog", "test/\u0441at"))
    with pytest.raises(UserError, match=r"U\+0441.*U\+0063.* print alike; give both one name"):
        read(tmp_path)


RAMP = np.arange(64, dtype=np.uint16).reshape(8, 8)


@fault(
    "F53", "12-bit pictures in 16-bit files train as nearly black", "significant bits are found over the set and said"
)
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("kind", ["grey PNG", "grey TIFF", "colour PNG", "colour TIFF", "grey with alpha"])
def test_significant_bits(tmp_path: Path, bits: int, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("diffdistill").setLevel(logging.INFO)
    logging.getLogger("diffdistill").propagate = True
    white = (1 << bits) - 1
    for label, top in (("a", white), ("b", white // 8)):
        levels = (RAMP.astype(np.float64) * top / 63).round().astype(np.uint16)
        opaque = np.full_like(levels, 65535)
        data = {
            "grey PNG": lambda levels=levels: png16(levels[..., None]),
            "grey TIFF": lambda levels=levels: tiff(levels),
            "colour PNG": lambda levels=levels: png16(np.stack([levels] * 3, -1)),
            "colour TIFF": lambda levels=levels: tiff(np.stack([levels] * 3, -1), photometric=2),
            "grey with alpha": lambda levels=levels, opaque=opaque: png16(np.stack([levels, opaque], -1)),
        }[kind]()
        for index in range(3):
            (tmp_path / f"{label}/{index}.x").parent.mkdir(exist_ok=True)
            (tmp_path / f"{label}/{index}.x").write_bytes(data)
    for asked in (None, bits):
        raw = read(tmp_path, bits=asked)
        images = np.asarray(raw.train_images)
        assert images.shape == (6, 3 if "colour" in kind else 1, 8, 8)
        assert np.abs(images[0, 0] - np.rint(RAMP * (255 / 63))).max() <= 1
        assert np.abs(images[5, 0] - np.rint(RAMP * (255 / 63 / 8))).max() <= 1
    assert f"6 pictures have 16-bit samples; {bits} bits of these are significant (found" in caplog.text
    if bits > 8:
        with pytest.raises(UserError, match="for which 8 bits are too few"):
            read(tmp_path, bits=8)


@fault("F53", "pictures with white as zero come out inverted", "as they are seen")
@pytest.mark.parametrize("dtype", ["u1", "<u2"])
def test_white_as_zero(tmp_path: Path, dtype: str) -> None:
    top = np.iinfo(np.dtype(dtype)).max
    levels = (RAMP.astype(np.float64) * top / 63).round().astype(dtype)
    for label in ("a", "b"):
        put(tmp_path, f"{label}/")
        for index in range(3):
            (tmp_path / label / f"{index}.tif").write_bytes(tiff(levels, photometric=0))
    images = np.asarray(read(tmp_path).train_images)
    assert np.abs(images[0, 0] - np.rint(255 - RAMP * (255 / 63))).max() <= 1


@fault("F53", "the refusal of signed 16-bit pixels calls them 32-bit", "it says what they are")
@pytest.mark.parametrize(
    ("dtype", "sample_format", "said"),
    [("<i2", 2, "signed 16-bit"), (">i2", 2, "signed 16-bit"), ("<i1", 2, "signed 8-bit"), ("<i4", 2, "signed 32-bit"),
     ("<u4", 1, "(32-bit"), ("<f4", 3, "floating-point pixels")],
)  # fmt: skip
def test_ranges_that_nobody_knows(tmp_path: Path, dtype: str, sample_format: int, said: str) -> None:
    put(tmp_path, *classes(2, "a", "b"))
    (tmp_path / "a/x.tif").write_bytes(tiff(RAMP.astype(dtype), sample_format=sample_format))
    with pytest.raises(UserError, match="whose range is unknown") as caught:
        read(tmp_path)
    assert said in str(caught.value)


@fault("F51", "the first class that is too small is named by number", "all are named at once, with the keys to lower")
def test_classes_that_are_too_small(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(tmp_path / "set", *classes(5, "daisy"), *classes(1, "rose"), *classes(2, "tulip"))
    assert prepared(tmp_path / "set", tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert "2 classes have too few images: 'rose' has 1, 'tulip' has 2; cutting 2 per class" in said
    assert "lower source.test_per_class or source.validation_per_class" in said and not (tmp_path / "out").exists()
    put(tmp_path / "two", *classes(5, "train/daisy", "test/daisy", "test/rose"), "train/rose/0.png")
    assert prepared(tmp_path / "two", tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert "class 'rose' has 1 image; cutting 1 per class leaves none" in said


@fault("F33", "a path given as text is called a broken file", "a path of either type is read")
@pytest.mark.parametrize("kind", KINDS)
def test_paths_as_text(tmp_path: Path, kind: str) -> None:
    put(tmp_path / "set", *classes(3, "a", "b"))
    source = packed(tmp_path / "set", kind)
    assert archives.names(str(source)) == archives.names(source)
    assert archives.checksum(str(source)) == archives.checksum(source)
    assert tree.fingerprint(str(source)) == tree.fingerprint(source)
