"""Which folders are splits and which are classes."""

from pathlib import Path

import pytest

from diffdistill.data import layout
from diffdistill.data.raw import SourceError
from diffdistill.data.tree import Listing
from diffdistill.errors import UserError

HERE = Path("here")


def found(*names: str, folders: tuple[str, ...] = (), splits: dict[str, str] | None = None) -> dict[str, list[str]]:
    """Classes of the pictures by split, in the order of the names."""
    listing = Listing(names=[*names], folders=[*folders])
    return {split: [*some.values()] for split, some in layout.find(HERE, listing, splits).pictures.items() if some}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a/1.png", "b/2.png"], {"train": ["a", "b"]}),
        (["set/a/1.png", "set/b/2.png"], {"train": ["a", "b"]}),
        (["set/README.txt", "set/a/1.png", "set/b/2.png", "LICENSE"], {"train": ["a", "b"]}),
        (["x/y/z/a/1.png", "x/y/z/b/2.png"], {"train": ["a", "b"]}),
        (["train/a/1.png", "train/b/2.png"], {"train": ["a", "b"]}),
        (["set/train/a/1.png", "set/Test/a/2.png"], {"train": ["a"], "test": ["a"]}),
        (["train/a/1.png", "VAL/a/2.png"], {"train": ["a"], "validation": ["a"]}),
        (["train/a/x/1.png", "train/a/y/2.png"], {"train": ["a", "a"]}),
        (["train/1.png", "plane/2.png"], {"train": ["train", "plane"]}),
        (["train/x/1.png", "train/2.png", "plane/2.png"], {"train": ["train", "train", "plane"]}),
        (["a/noending", "b/2"], {"train": ["a", "b"]}),
        (["a/x/1.png", "b/y/2.png"], {"train": ["a", "b"]}),
    ],
)
def test_what_is_understood(names: list[str], expected: dict[str, list[str]]) -> None:
    assert found(*names) == expected


@pytest.mark.parametrize(
    ("names", "splits", "expected"),
    [
        (["A/x/1.png", "B/x/2.png"], {"train": "A", "test": "B"}, {"train": ["x"], "test": ["x"]}),
        (["A/x/1.png", "B/x/2.png"], {"train": "B", "validation": "A/"}, {"train": ["x"], "validation": ["x"]}),
        (["s/A/x/1.png", "s/B/x/2.png"], {"train": "A", "test": "B"}, {"train": ["x"], "test": ["x"]}),
        (["A/i/x/1.png", "B/i/x/2.png"], {"train": "A/i", "test": "B/i"}, {"train": ["x"], "test": ["x"]}),
        (["train/x/1.png", "test/x/2.png"], {"train": "test"}, None),
        (["caf\u00e9/x/1.png"], {"train": "cafe\u0301"}, {"train": ["x"]}),
        (["A/x/1.png", "B/x/2.png"], {}, {"train": ["A", "B"]}),
        (["A/x/1.png"], {"train": "A", "test": "C"}, None),
        (["train/x/1.png", "test/x/2.png"], {}, {"train": ["train", "test"]}),
    ],
)
def test_named_splits(names: list[str], splits: dict[str, str], expected: dict[str, list[str]] | None) -> None:
    if expected is not None:
        assert found(*names, splits=splits) == expected
        return
    with pytest.raises(SourceError, match=r"is in none of the splits|no picture in C/CLASS/"):
        found(*names, splits=splits)


@pytest.mark.parametrize(
    ("names", "message", "argument"),
    [
        (["A/x/1.png", "B/x/2.png"], "A, B are splits with the classes x, or they are the classes", "splits"),
        (["A/X/1.png", "B/x/2.png"], "can be read in two ways", "splits"),
        (["train/x/1.png", "b/2.png"], "train split with the classes x, or b, train are the classes", "splits"),
        (["train/x/1.png", "Training/y/2.png"], "both mean train", "splits"),
        (["train/1.png"], "train/1.png is in no class folder", "splits"),
        (["train/x/1.png", "test/2.png"], "has no label; skip test/", "skip"),
        (["1.png", "a/2.png"], "1.png is in no class folder", "skip"),
        (["u/train/x/1.png", "u/test/x/1.png", "v/2.png"], "u/ is a data set of its own", "path"),
        (["u/train/1.png", "u/test/1.png", "v/train/2.png", "v/val/1.png"], "u, v each hold folders of splits", "path"),
    ],
)
def test_what_can_mean_two_things(names: list[str], message: str, argument: str) -> None:
    with pytest.raises(SourceError, match=message) as caught:
        found(*names)
    assert caught.value.argument == argument and str(caught.value).startswith("here: ")


def test_no_train_split() -> None:
    with pytest.raises(UserError, match="test/ is there, but no train/"):
        found("test/a/1.png", "val/a/1.png")


def test_empty_class_folders_are_classes() -> None:
    listing = Listing(
        names=["train/a/1.png", "test/a/1.png"], folders=["train", "train/a", "train/b", "test", "test/c"]
    )
    assert layout.find(HERE, listing).classes == {"train": {"a", "b"}, "test": {"a", "c"}}
