"""Images of one person stay in one split, whichever way the persons are known."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from diffdistill.config import Source
from diffdistill.data import folder, groups, image_files, splits
from diffdistill.data.digits import read as read_digits
from diffdistill.errors import UserError
from tests import command
from tests.data.pictures import packed, put

PEOPLE = ("anna", "ben", "cleo", "dan", "eva", "finn")


def people(root: Path, *, count: int = 4, split: str = "") -> Path:
    """Two classes of pictures of six people."""
    names = [f"{split}{label}/{who}_{index}.png" for label in ("x", "y") for who in PEOPLE for index in range(count)]
    return put(root, *names)


def prepared(place: Path, source: Path, **keys: Any) -> int:
    block = {"kind": "folder", "path": str(source), "validation_per_class": 4, "test_per_class": 4} | keys
    outputs = {name: place / f"{name}.safetensors" for name in ("train", "validation", "test")}
    return command.run("prepare", {"source": block}, {"source": source}, outputs)


@pytest.mark.parametrize("kind", ["folder", "zip"])
@pytest.mark.parametrize("way", ["pattern", "whole paths", "names alone", "Windows paths"])
def test_a_group_is_in_one_split(tmp_path: Path, kind: str, way: str) -> None:
    people(tmp_path / "set")
    table = tmp_path / "people.csv"
    names = [file.relative_to(tmp_path / "set").as_posix() for file in sorted((tmp_path / "set").rglob("*.png"))]
    if way == "names alone":
        for name in names:
            (tmp_path / "set" / name).rename(tmp_path / "set" / name.replace("/", "/of-" + name[0] + "-"))
        names = [name.replace("/", "/of-" + name[0] + "-") for name in names]
    lines = {
        "names alone": lambda name: name.split("/")[1],
        "Windows paths": lambda name: ".\\" + name.replace("/", "\\"),
    }.get(way, lambda name: name)
    whose = {name: next(who for who in PEOPLE if who in name) for name in names}
    table.write_text("\ufeffimage,person\n" + "".join(f"{lines(name)}, {whose[name]}\n" for name in names))
    asked = r"([a-z]+)_\d" if way == "pattern" else str(table)
    assert prepared(tmp_path / "out", packed(tmp_path / "set", kind), groups=asked) == 0
    found = {name: image_files.load(tmp_path / f"out/{name}.safetensors") for name in ("train", "validation", "test")}
    seen = set[int]()
    for one in found.values():
        assert one.groups is not None and one.groups.dtype == torch.int64 and len(one.groups) == len(one.labels)
        here = {*one.groups.tolist()}
        assert not here & seen
        seen |= here
        # whole people: all four pictures of each, of both classes
        assert all((one.groups == number).sum() == 8 for number in here)
    assert seen == {*range(6)}
    assert torch.bincount(found["test"].labels).min() >= 4


def test_another_table_is_another_cut(tmp_path: Path) -> None:
    people(tmp_path / "set")
    cuts = []
    for shift in (0, 1):
        table = tmp_path / f"{shift}.csv"
        files = sorted((tmp_path / "set").rglob("*.png"))
        table.write_text(
            "".join(f"{file.parent.name}/{file.name},{(place + shift) // 8}\n" for place, file in enumerate(files))
        )
        assert prepared(tmp_path / f"out{shift}", tmp_path / "set", groups=str(table)) == 0
        cuts.append(image_files.load(tmp_path / f"out{shift}/train.safetensors").metadata["cut"])
    assert cuts[0] != cuts[1] and str(tmp_path) not in cuts[0]


def test_a_group_in_two_published_splits_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    people(tmp_path / "set", split="train/")
    put(tmp_path / "set", "test/x/zoe_0.png", "test/y/ben_9.png")
    assert prepared(tmp_path / "out", tmp_path / "set", groups=r"([a-z]+)_\d", test_per_class=None) == 2
    assert "group 'ben' has images in train and in test" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("x/anna_0.png,anna\n", "gives no group for 47 of 48 images, such as x/anna_1.png"),
        ("x/anna_0.png,anna\nx/anna_0.png,ben\n", "line 2: x/anna_0.png has two groups, 'anna' and 'ben'"),
        ("x/anna_0.png\n", "line 1: expected image path and group, found 'x/anna_0.png'"),
        ("x/anna_0.png,anna,7\n", "line 1: expected image path and group"),
        ("x/anna_0.png,\n", "line 1: expected image path and group"),
        ("", "gives no group for 48 of 48"),
    ],
)
def test_tables_that_do_not_fit_are_named(tmp_path: Path, lines: str, message: str) -> None:
    raw = folder.read(people(tmp_path / "set"))
    (tmp_path / "people.csv").write_text(lines)
    with pytest.raises(UserError, match=message):
        groups.read(raw, table=str(tmp_path / "people.csv"))


def test_groups_need_files_and_one_way(tmp_path: Path) -> None:
    raw = folder.read(people(tmp_path / "set"))
    with pytest.raises(UserError, match="no such file"):
        groups.read(raw, table=tmp_path / "absent.csv")
    with pytest.raises(UserError, match="2 capture groups"):
        groups.read(raw, pattern="(a)(b)")
    with pytest.raises(UserError, match="gives no group for 40 of 48 images"):
        groups.read(raw, pattern="(anna)")
    with pytest.raises(ValueError, match="either a table or a pattern"):
        groups.read(raw)
    with pytest.raises(UserError, match="no file names"):
        groups.read(read_digits(), pattern="(a)")
    (tmp_path / "latin.csv").write_bytes(b"x/\xe9.png,a\n")
    with pytest.raises(UserError, match="not a csv in UTF-8"):
        groups.read(raw, table=tmp_path / "latin.csv")


def test_whole_groups_are_cut_and_never_all_of_a_class() -> None:
    labels = np.repeat([0, 1], 12)
    members = np.tile(np.repeat(np.arange(4), 3), 2)
    rest, cut = splits.cut(labels, per_class=4, seed=0, groups=members)
    assert not {*members[rest]} & {*members[cut]} and sorted([*rest, *cut]) == list(range(24))
    assert np.bincount(labels[cut]).tolist() == [6, 6]
    with pytest.raises(UserError, match=r"whole groups give too few images of 2 classes .*'a' gives 9, 'b' gives 9"):
        splits.cut(labels, per_class=10, seed=0, groups=members, classes=["a", "b"])
    one = np.zeros(24, dtype=np.int64)
    with pytest.raises(UserError, match="gives 0"):
        splits.cut(labels, per_class=1, seed=0, groups=one, classes=["a", "b"])


def test_a_group_of_an_unneeded_class_is_left() -> None:
    labels, members = np.array([0] * 4 + [1] * 4), np.arange(8)
    assert np.bincount(labels[splits.cut(labels, per_class=2, seed=5, groups=members)[1]]).tolist() == [2, 2]


@pytest.mark.parametrize(
    ("value", "message"),
    [("(a)(b)", "2 capture groups"), ("abc", "0 capture groups"), ("(", "no regular expression"), ({}, "either table")],
)
def test_groups_are_checked_in_the_config(value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Source.model_validate({"kind": "folder", "path": "x", "validation_per_class": 1, "groups": value})


def test_the_writer_wants_groups_for_all_or_none(tmp_path: Path) -> None:
    images, labels = torch.zeros(2, 1, 3, 3, dtype=torch.uint8), torch.arange(2)
    writer = image_files.Writer(tmp_path / "x", (1, 3, 3), {"classes": '["a", "b"]'})
    with pytest.raises(ValueError, match="2 groups were given for 4"), writer:
        writer.append(images, labels, labels)
        writer.append(images, labels)
        writer.finish()
    image_files.save(str(tmp_path / "y"), images, labels, {"classes": '["a", "b"]'}, groups=labels)
    loaded = image_files.load(str(tmp_path / "y"))
    assert loaded.groups is not None and torch.equal(loaded.groups, labels)
    with pytest.raises(ValueError, match="groups must be int64"):
        image_files.save(tmp_path / "z", images, labels, {"classes": '["a", "b"]'}, groups=labels.float())
