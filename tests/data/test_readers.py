"""One registry of readers, and what holds for all of them."""

import typing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diffdistill.config import Source
from diffdistill.data import readers
from diffdistill.data.raw import RawData, SourceError, Split
from diffdistill.errors import UserError
from tests.data.pictures import classes, put
from tests.data.test_tinyimagenet import pack, picture, small


def test_every_kind_has_a_reader() -> None:
    assert {*readers.READERS} == {*typing.get_args(Source.model_fields["kind"].annotation)}


def test_a_kind_is_added_in_three_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module, an entry of the registry and a name in the config; nothing else asks for the kind."""
    images = np.zeros((4, 1, 8, 8), dtype=np.uint8)
    made = RawData(Split(images, np.arange(4) % 2), None, ["a", "b"], "0" * 64)
    monkeypatch.setattr(readers, "READERS", {"new": lambda path, source: made})
    source = Source.model_construct(kind="new", empty_classes="refuse")
    assert readers.read("anywhere", source) is made


def test_a_class_without_train_images_is_refused_by_every_reader(tmp_path: Path) -> None:
    files = small()
    path = pack(tmp_path / "x.zip", files | {"wnids.txt": b"n1\nn2\nn3\n"})
    source = {"kind": "tinyimagenet", "path": str(path), "validation_per_class": 1}
    with pytest.raises(SourceError, match="no train image of class 'n3'") as caught:
        readers.read(path, Source.model_validate(source))
    assert caught.value.argument == "empty_classes"
    dropped = readers.read(str(path), Source.model_validate(source | {"empty_classes": "drop"}))
    assert dropped.classes == ["n1", "n2"] and dropped.class_titles == ["cat, true cat", "dog"]
    assert dropped.train_labels.tolist() == [0, 1]


@pytest.mark.parametrize("name", ["train/n1/images/._n1_0.JPEG", "train/@eaDir/images/x.JPEG", "__MACOSX/wnids.txt",
                                  "val/images/Thumbs.db", "train/n1/images/Thumbs.db"])  # fmt: skip
def test_what_systems_leave_in_tinyimagenet(tmp_path: Path, name: str) -> None:
    path = pack(tmp_path / "x.zip", small() | {name: picture(1)})
    source = {"kind": "tinyimagenet", "path": str(path), "validation_per_class": 1}
    assert len(readers.read(path, Source.model_validate(source)).train_labels) == 2


@pytest.mark.parametrize(
    ("names", "side", "keys", "message", "argument"),
    [
        (["a/1.png", "a/2.png"], 8, {}, r"the only class is \['a'\]", None),
        ([*classes(2, "a", "b")], 8, {"bits": 1}, None, None),
        (["x.png", *classes(2, "a", "b")], 8, {}, "x.png is in no class folder", "skip"),
        ([*classes(2, "a/x", "b/x")], 8, {}, "can be read in two ways", "splits"),
    ],
)
def test_errors_name_the_argument_to_change(
    tmp_path: Path, names: list[str], side: int, keys: dict[str, Any], message: str | None, argument: str | None
) -> None:
    put(tmp_path, *names, side=side)
    source = Source.model_validate({"kind": "folder", "path": "x", "validation_per_class": 1} | keys)
    if message is None:
        assert len(readers.read(tmp_path, source).train_labels) == len(names)
        return
    with pytest.raises(UserError, match=message) as caught:
        readers.read(tmp_path, source)
    assert getattr(caught.value, "argument", None) == argument and "source." not in str(caught.value)


def test_oblong_pictures_need_a_size(tmp_path: Path) -> None:
    from PIL import Image

    for name in classes(2, "a", "b"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (8, 6)).save(tmp_path / name)
    source = {"kind": "folder", "path": "x", "validation_per_class": 1}
    with pytest.raises(SourceError, match="images are 8x6 pixels, squares are needed"):
        readers.read(tmp_path, Source.model_validate(source))
    assert readers.read(tmp_path, Source.model_validate(source | {"size": 4})).train_images.shape == (4, 1, 4, 4)
