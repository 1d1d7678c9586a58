"""Every kind of fault in data, tried on every form: one clear line, nothing written, nothing run."""

import io
import math
import os
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from diffdistill.data import sets
from diffdistill.errors import UserError
from tests.data.sets.making import (
    ARRAYS,
    CLASSES,
    FILE_ORDER,
    MEAN,
    NAMED,
    NUMBERED,
    PICTURES,
    STD,
    Given,
    Maker,
    archive,
    folder,
    imported,
    normalised,
    npz,
    parquet,
    pixels,
    png,
    safetensors,
    tensors,
)  # fmt: skip


def refused(path: Path, match: str, real: sets.RealSet = sets.RealSet(CLASSES, (3, 4, 4)), **keys: Any) -> None:  # noqa: B008
    """It is refused in one line that names the file, and leaves nothing."""
    with pytest.raises(UserError, match=match) as caught:
        imported(path, real, **keys)
    assert "\n" not in str(caught.value) and path.name in str(caught.value)
    assert not list(path.parent.glob("*out.safetensors*"))


@pytest.mark.parametrize("make", NAMED)
def test_a_missing_file(make: Maker, tmp_path: Path) -> None:
    path = make(tmp_path, Given())
    for form in ("auto", sets.form_of(path)):
        refused(path.with_name("other"), "no such file", format=form)


@pytest.mark.parametrize("make", [make for make in NAMED if make is not folder])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.98])
def test_half_a_file(make: Maker, share: float, tmp_path: Path) -> None:
    path = make(tmp_path, Given(pixels(60), np.arange(60) % 3))
    form, data = sets.form_of(path), path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    refused(path, "get it again|fetch it again|not a file of tensors", format=form)
    refused(path, "get it again|fetch it again|not a file of tensors|none of the forms")


@pytest.mark.parametrize("make", [make for make in NAMED if make is not folder])
def test_no_file_of_its_form(make: Maker, tmp_path: Path) -> None:
    path = make(tmp_path, Given())
    form = sets.form_of(path)
    for data in (b"", b"<html>quota exceeded</html>" * 50, bytes(1000)):
        path.write_bytes(data)
        refused(path, "get it again|fetch it again|not a file of tensors|no pictures in class folders", format=form)
        refused(path, "none of the forms")


@pytest.mark.parametrize("make", NAMED)
def test_names_that_do_not_fit(make: Maker, tmp_path: Path) -> None:
    path = make(tmp_path, Given(names=["cat", "ant", "wasp"]))
    refused(path, "'wasp' is no class of the real data")
    refused(path, "another order was given", classes=CLASSES)


@pytest.mark.parametrize("make", NAMED)
def test_a_class_that_is_missing(make: Maker, tmp_path: Path) -> None:
    refused(make(tmp_path, Given()), "class 'dog' is missing", sets.RealSet([*CLASSES, "dog"], (3, 4, 4)))


@pytest.mark.parametrize("make", [parquet, npz, safetensors, tensors])
def test_a_class_without_images(make: Maker, tmp_path: Path) -> None:
    refused(make(tmp_path, Given(labels=np.arange(12) % 2)), "no image of 'bee'")


@pytest.mark.parametrize("make", NUMBERED)
def test_uneven_classes_are_taken_as_they_are(make: Maker, tmp_path: Path) -> None:
    labels = np.array([0, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2])
    data, found = imported(make(tmp_path, Given(labels=labels, names=None)), classes=FILE_ORDER)
    assert torch.bincount(data.labels).tolist() == [1, 10, 1] and "1..10 per class" in found.line


@pytest.mark.parametrize("make", [*PICTURES, *ARRAYS])
def test_another_size(make: Maker, tmp_path: Path) -> None:
    path = make(tmp_path, Given(pixels(12, side=5)))
    refused(
        path, r"images of shape \(3, 5, 5\), the real ones have \(3, 4, 4\)", classes=None if make in NAMED else CLASSES
    )


@pytest.mark.parametrize("make", [npz, safetensors, tensors])
@pytest.mark.parametrize(
    ("labels", "match"),
    [
        (np.arange(11) % 3, "12 images, but labels of shape"),
        (np.arange(12) % 3 + 1, r"labels 1\.\.3, but 3 classes are numbered from 0"),
        (np.arange(12) % 3 - 1, r"labels -1\.\.1"),
        (np.arange(12) % 3 + 0.5, "the label of image 0 is 0.5"),
        (np.where(np.arange(12) == 5, math.nan, 1.0), "the label of image 5 is nan"),
        (np.arange(12) % 2 == 0, "whole numbers are needed"),
        (np.ones((12, 3)), "the soft label of image 0 adds up to 3"),
        (np.full((12, 4), 0.25), "soft labels of 4 classes; there are 3"),
        (np.full((12, 3), math.inf), "NaN or infinity"),
        (np.zeros((12, 3, 1)), "one label per image"),
    ],
    ids=["fewer", "from one", "negative", "halves", "nan", "truth values", "no share", "classes", "infinite", "axes"],
)  # fmt: skip
def test_labels_that_are_none(make: Maker, labels: Any, match: str, tmp_path: Path) -> None:
    refused(make(tmp_path, Given(labels=labels)), match)


@pytest.mark.parametrize("make", ARRAYS)
@pytest.mark.parametrize(
    ("change", "keys", "match"),
    [
        (lambda x: np.where(np.arange(12).reshape(-1, 1, 1, 1) == 7, np.nan, x / 255), {}, "image 7 holds NaN"),
        (lambda x: np.where(np.arange(12).reshape(-1, 1, 1, 1) == 7, -np.inf, x / 255), {}, "image 7 holds NaN or inf"),
        (normalised, {}, r"values -2\.\.3 are not clearly in"),
        (lambda x: x / 255 * 0.4, {}, r"values 0\.\.0.4 are not clearly in"),
        (lambda x: normalised(x) * 1.05, {"mean": MEAN, "std": STD}, "outside the range of normalised images"),
        (lambda x: x / 255, {"mean": MEAN, "std": STD}, "no value is below 0"),
        (lambda x: x, {"mean": MEAN, "std": STD}, "bytes 0..255, which are neither normalised"),
        (lambda x: x, {"values": "unit"}, "bytes 0..255, which are neither normalised"),
        (lambda x: x.astype(np.uint16) * 16, {}, r"whole numbers 0\.\.4.08e\+03"),
        (lambda x: x // 255, {}, "only 0 and 1, as of images cast to whole numbers"),
        (lambda x: x > 5, {}, "images of bool; numbers are needed"),
        (lambda x: x / 255 + 1, {"values": "unit"}, "outside the range of unit images"),
        (lambda x: x.reshape(12, -1), {}, r"images of shape \(48,\)"),
        (lambda x: x[:0], {}, "holds no images"),
        (lambda x: normalised(x), {"mean": (0.5,) * 3, "std": (0.001,) * 3}, None),
    ],
    ids=["nan", "infinity", "normalised", "dark", "too far", "not normalised", "bytes", "bytes as unit", "12 bits",
         "cast", "truth values", "shifted", "flat", "none", "other constants"],
)  # fmt: skip
def test_values_that_are_not_understood(
    make: Maker, change: Any, keys: dict[str, Any], match: str | None, tmp_path: Path
) -> None:
    given = Given()
    path = make(tmp_path, Given(change(given.images), given.labels, None))
    if match is None:  # constants of another data set may fit by accident: what was found is said
        _, found = imported(path, classes=CLASSES, **keys)
        assert "normalised (-2..3)" in found.line
    else:
        refused(path, match, classes=CLASSES, **keys)


@pytest.mark.parametrize("make", ARRAYS)
def test_values_outside_are_clipped_where_asked(make: Maker, tmp_path: Path) -> None:
    given = Given()
    optimised = normalised(given.images)
    optimised[:6] += 10
    path = make(tmp_path, Given(optimised, given.labels, None))
    refused(path, "have the values clipped", classes=CLASSES, mean=MEAN, std=STD)
    data, found = imported(path, classes=CLASSES, mean=MEAN, std=STD, clip=True)
    assert (data.images[:6] == 255).all() and np.array_equal(data.images[6:].numpy(), given.images[6:])
    assert "% of the values clipped" in found.line


@pytest.mark.parametrize("make", PICTURES)
def test_files_that_are_no_pictures(make: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.data.sets import making

    sound = png(pixels(1)[0])
    answers = iter([sound, sound[:40], b"some text", *[sound] * 9])
    monkeypatch.setattr(making, "png", lambda image: next(answers))
    refused(make(tmp_path, Given()), "2 files are not a whole picture")


@pytest.mark.parametrize("make", PICTURES)
def test_pictures_of_two_sizes(make: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.data.sets import making

    answers = iter([png(pixels(1)[0])] * 11 + [png(pixels(1, side=6)[0])])
    monkeypatch.setattr(making, "png", lambda image: next(answers))
    refused(make(tmp_path, Given()), "sizes|6x6, others 4x4")


class Evil:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch evil",)


@pytest.mark.parametrize("kind", ["pt", "old pt", "labels", "npz", "npz labels", "npy"])
def test_code_is_not_run(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    images, labels, match = torch.from_numpy(pixels(3)), torch.arange(3), "which is code"
    path, keys = tmp_path / "set.pt", {}
    if kind == "labels":
        torch.save(images, path)
        torch.save({"labels": Evil()}, tmp_path / "labels.pt")
        keys["labels"] = str(tmp_path / "labels.pt")
    elif kind == "npy":
        torch.save(images, path)
        with (tmp_path / "labels.npy").open("wb") as file:
            np.save(file, np.array([Evil()] * 3), allow_pickle=True)
        keys["labels"], match = str(tmp_path / "labels.npy"), "not a whole array of numbers"
    elif "npz" in kind:
        path, evil = tmp_path / "set.npz", np.array([Evil()] * 3)
        np.savez(path, images=evil if kind == "npz" else images.numpy(), labels=evil)
        match = "which array holds the (images|labels) is not clear"
    else:
        torch.save({"images": images, "labels": labels, "by": Evil()}, path,
                   _use_new_zipfile_serialization=kind == "pt")  # fmt: skip
    with pytest.raises(UserError, match=match):
        imported(path, classes=CLASSES, **keys)
    assert not (tmp_path / "evil").exists()


def test_a_path_in_parquet_is_never_opened(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is an optional extra")
    from pyarrow import parquet as files

    (tmp_path / "outside.png").write_bytes(png(pixels(1)[0]))
    rows = [{"bytes": None, "path": str(tmp_path / "outside.png")}] * 3
    files.write_table(pyarrow.table({"image": rows, "label": CLASSES}), tmp_path / "set.parquet")
    refused(tmp_path / "set.parquet", "no encoded picture in it")


@pytest.mark.parametrize("name", ["../evil/1.png", "/evil/1.png", "link"])
def test_archives_that_point_outside(name: str, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "set.tar", "w") as file:
        entry = tarfile.TarInfo(name)
        if name == "link":
            entry.type, entry.linkname = tarfile.SYMTYPE, "/etc"
        entry.size = 0 if name == "link" else 10
        file.addfile(entry, io.BytesIO(b"0123456789"))
    refused(tmp_path / "set.tar", "refused, because")


@pytest.mark.parametrize("kind", ["npz", "expanded", "list"])
def test_a_small_file_that_claims_much(kind: str, tmp_path: Path) -> None:
    path = tmp_path / ("set.npz" if kind == "npz" else "set.pt")
    shape = (2_000_000, 3, 4, 4)
    if kind == "npz":
        with zipfile.ZipFile(path, "w") as file:
            head = io.BytesIO()
            np.lib.format.write_array_header_1_0(head, {"descr": "|u1", "fortran_order": False, "shape": shape})
            file.writestr("images.npy", head.getvalue())
            file.writestr("labels.npy", head.getvalue())
    elif kind == "expanded":
        torch.save(torch.zeros(1, 1, 1, 1).expand(shape), path)
    else:
        torch.save([torch.zeros(1, 1, 1).expand(3, 4000, 4000)] * 1000, path)
    refused(path, "which is not plausible", classes=CLASSES)


def test_headers_that_lie(tmp_path: Path) -> None:
    path = safetensors(tmp_path, Given())
    data = path.read_bytes()
    for old, new in ((b"[12,3,4,4]", b"[13,3,4,4]"), (b'"U8"', b'"F8"'), (b'"shape"', b'"shave"')):
        assert old in data
        path.write_bytes(data.replace(old, new))
        refused(path, "not a whole safetensors file of numbers")
    path.write_bytes(b"\xff" * 8 + data[8:])
    refused(path, "its header claims")
    negative = tmp_path / "set.npz"
    with zipfile.ZipFile(negative, "w") as file:
        head = io.BytesIO()
        np.lib.format.write_array_header_1_0(head, {"descr": "|u1", "fortran_order": False, "shape": (-5, 3, 4, 4)})
        file.writestr("images.npy", head.getvalue())
    refused(negative, "not a whole npz file of numbers")


def test_which_array_is_meant_is_not_guessed(tmp_path: Path) -> None:
    images, labels = torch.from_numpy(pixels(3)), torch.arange(3)
    save_file({"a": images, "b": labels}, tmp_path / "set.safetensors")
    refused(tmp_path / "set.safetensors", r"holds .*'a' \(3, 3, 4, 4\).*; give its name", classes=CLASSES)
    data, _ = imported(tmp_path / "set.safetensors", classes=CLASSES, images_key="a", labels_key="b")
    assert torch.equal(data.images, images)
    (tmp_path / "out.safetensors").unlink()
    refused(tmp_path / "set.safetensors", "has no 'c' for the images", classes=CLASSES, images_key="c", labels_key="b")
    np.savez(tmp_path / "set.npz", x=images, data=images, y=labels)
    refused(tmp_path / "set.npz", "'x' and 'data' could both be the images", classes=CLASSES)
    torch.save({"weights": {"a": 1}}, tmp_path / "set.pt")
    refused(tmp_path / "set.pt", "which array holds the images is not clear", classes=CLASSES)
    torch.save([1, 2, 3], tmp_path / "set.pt")
    refused(tmp_path / "set.pt", "no tensors", classes=CLASSES)
    torch.save("text", tmp_path / "set.pt")
    refused(tmp_path / "set.pt", "holds str", classes=CLASSES)


def test_positions_that_do_not_divide(tmp_path: Path) -> None:
    torch.save(torch.from_numpy(pixels(10)), tmp_path / "set.pt")
    refused(tmp_path / "set.pt", "its 10 images do not divide into 3 classes", classes=CLASSES)


@pytest.mark.parametrize(
    ("text", "match"), [("0\n\n1", "line 2 is empty"), ("", "line 1 is empty"), ("\xff", "neither")]
)
def test_label_files_that_are_none(text: str, match: str, tmp_path: Path) -> None:
    torch.save(torch.from_numpy(pixels(3)), tmp_path / "set.pt")
    (tmp_path / "labels.txt").write_bytes(text.encode("latin1"))
    with pytest.raises(UserError, match=match):
        imported(tmp_path / "set.pt", classes=CLASSES, labels=str(tmp_path / "labels.txt"))
    with pytest.raises(UserError, match="no such file; give the labels' place"):
        imported(tmp_path / "set.pt", classes=CLASSES, labels=str(tmp_path / "none.txt"))


def test_what_systems_leave_in_folders_is_no_class(tmp_path: Path) -> None:
    path = archive(tmp_path, Given())
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("__MACOSX/cat/._000.png", b"x")
        file.writestr("cat/Thumbs.db", b"x")
    data, _ = imported(path)
    assert len(data.images) == 12
