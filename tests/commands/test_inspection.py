"""What is found in a folder of pictures, and the one line about a folder that is no data set."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diffdistill.commands.inspection import inspect, mirror_ratio
from diffdistill.data import folder as reader
from diffdistill.errors import UserError

from .pictures import noise


def refused(path: Path) -> str:
    with pytest.raises(UserError) as error:
        inspect(path)
    assert "\n" not in str(error.value) and str(path) in str(error.value)
    return str(error.value)


def test_what_lies_beside_pictures_is_counted_and_can_be_skipped(tmp_path: Path) -> None:
    folder = noise(tmp_path / "set", "a", "b/deep", each=6)
    noise(folder, "b/other", each=2, side=12)
    shutil.copy(folder / "a/0.png", folder / "a/copy.png")
    Image.new("RGB", (8, 8), "red").save(folder / "a/red.png")
    (folder / "a/broken.png").write_bytes((folder / "a/1.png").read_bytes()[:40])
    for name in ("a/1.txt", "a/2.txt", "b/deep/talk.ogg", "README"):
        (folder / name).write_text("words")
    found = inspect(folder)
    assert found.train == {"a": 8, "b": 8} and found.count == found.looked_at == 16
    assert found.sizes == {(8, 8): 14, (12, 12): 2} and found.channels == 3
    assert (found.duplicates, found.plain) == (1, 1)
    assert list(found.unreadable) == ["a/broken.png"]
    assert sorted(found.foreign) == ["README", "a/1.txt", "a/2.txt", "b/deep/talk.ogg"]
    assert found.skip() == ("*.ogg", "*.txt", "README", "a/broken.png")
    read = reader.read(folder, size=8, skip=found.skip())  # as the block that is written says
    assert len(read.train.labels) == found.count and read.classes == ["a", "b"]


def test_splits_are_counted_apart(tmp_path: Path) -> None:
    folder = noise(tmp_path / "set", "train/a", "train/b", "test/a", "test/b")
    assert inspect(folder).classes == {split: {"a": 6, "b": 6} for split in ("train", "test")}


def test_an_archive_is_looked_at_in_place(tmp_path: Path) -> None:
    folder = noise(tmp_path / "set", "a", "b")
    archive = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", folder))
    assert inspect(archive).train == {"a": 6, "b": 6}


def test_little_time_looks_at_fewer_pictures(tmp_path: Path) -> None:
    found = inspect(noise(tmp_path / "set", "a", "b"), seconds=0)
    assert found.looked_at == 1 and found.count == 12


def test_what_is_no_data_set_is_named_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "no files in it" in refused(tmp_path / "empty")
    assert "no such file or folder" in refused(tmp_path / "missing")
    assert "the only class is 'a'" in refused(noise(tmp_path / "one", "a"))
    assert "'b' with 2; add pictures or remove" in refused(noise(noise(tmp_path / "two", "a"), "b", each=2))
    words = tmp_path / "words"
    words.mkdir()
    (words / "list.csv").write_text("a,b")
    assert "no pictures in class folders among 1 files" in refused(words)
    flat = tmp_path / "flat"
    flat.mkdir()
    shutil.copy(tmp_path / "one/a/0.png", flat / "0.png")
    assert "0.png is in no class folder" in refused(flat)
    broken = noise(tmp_path / "broken", "a", "b")
    for path in broken.rglob("*.png"):
        path.write_bytes(b"nothing")
    assert "none of its files is a whole picture, such as " in refused(broken)


def test_pictures_without_content_are_refused(tmp_path: Path) -> None:
    plain, copies = noise(tmp_path / "plain", "a", "b"), noise(tmp_path / "copies", "a", "b")
    for level, path in enumerate(plain.rglob("*.png")):
        Image.new("L", (8, 8), level).save(path)
    assert "every picture is of a single colour" in refused(plain)
    for path in copies.rglob("*.png"):
        path.write_bytes((tmp_path / "copies/a/0.png").read_bytes())
    assert "copies of one file" in refused(copies)


def test_the_parent_folder_of_data_sets_is_refused(tmp_path: Path) -> None:
    parent = noise(tmp_path / "parent", "birds/owl", "birds/wren", "flowers/rose", "flowers/lily")
    assert f"give one of them, such as {parent / 'birds'}" in refused(parent)
    assert inspect(parent, nested=True).train == {"birds": 12, "flowers": 12}
    same = noise(tmp_path / "same", "birds/1", "birds/2", "flowers/1", "flowers/2")
    assert "can be read in two ways" in refused(same) and "say --nested if" in refused(same)
    assert inspect(same, nested=True).train == {"birds": 12, "flowers": 12}
    assert inspect(noise(tmp_path / "around", "birds/owl", "birds/wren")).train == {"owl": 6, "wren": 6}


def test_many_broken_pictures_are_a_question(tmp_path: Path) -> None:
    folder = noise(tmp_path / "set", "a", "b", each=30)
    for number in range(21):
        (folder / f"a/{number}.png").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"21 files are no whole pictures, such as a/\d+.png"):
        inspect(folder).skip()


def test_mirroring_is_judged_by_the_neighbours_in_a_class() -> None:
    random = np.random.default_rng(0)
    shade = np.tile(np.linspace(0, 200, 16), (16, 1))
    one_sided = [shade + random.normal(0, 5, (16, 16)) for _ in range(20)]
    either = [(shade if number % 2 else shade[:, ::-1]) + random.normal(0, 5, (16, 16)) for number in range(20)]
    assert mirror_ratio({"a": one_sided}) > 3
    assert mirror_ratio({"a": either}) == pytest.approx(1, abs=0.05)
    assert mirror_ratio({"a": one_sided[:1]}) == 1
