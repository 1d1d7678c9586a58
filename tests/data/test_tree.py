"""What identifies a folder or an archive: names, sizes, dates and contents, and not where it lies."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from diffdistill.data import archives, tree
from diffdistill.errors import UserError
from tests.data.pictures import classes, packed, put


def _added(root: Path) -> None:
    put(root, "a/new.png")


def _removed(root: Path) -> None:
    (root / "a/0.png").unlink()


def _renamed(root: Path) -> None:
    (root / "a/0.png").rename(root / "a/9.png")


def _moved_to_another_class(root: Path) -> None:
    (root / "a/0.png").rename(root / "b/9.png")


def _replaced_by_an_older_one(root: Path) -> None:
    (root / "a/0.png").write_bytes((root / "a/1.png").read_bytes() + b"x")
    os.utime(root / "a/0.png", (1e9, 1e9))


def _an_empty_class(root: Path) -> None:
    put(root, "c/")


CHANGES = (_added, _removed, _renamed, _moved_to_another_class, _replaced_by_an_older_one, _an_empty_class)


@pytest.mark.parametrize("kind", ["folder", "zip"])
@pytest.mark.parametrize("change", CHANGES)
def test_every_change_shows(tmp_path: Path, kind: str, change: Callable[[Path], None]) -> None:
    root = put(tmp_path / "set", *classes(2, "a", "b"))
    before = tree.fingerprint(packed(root, kind)), tree.digests(packed(root, kind))["sha256"]
    change(root)
    after = tree.fingerprint(packed(root, kind)), tree.digests(packed(root, kind))["sha256"]
    assert before[0] != after[0] and before[1] != after[1]


def test_the_same_size_and_date_show_in_contents_alone(tmp_path: Path) -> None:
    root = put(tmp_path / "set", *classes(2, "a", "b"))
    before = tree.fingerprint(root), tree.fingerprint(root, contents=True)
    stats = (root / "a/0.png").stat()
    data = bytearray((root / "a/0.png").read_bytes())
    data[-1] ^= 1
    (root / "a/0.png").write_bytes(data)
    os.utime(root / "a/0.png", ns=(stats.st_atime_ns, stats.st_mtime_ns))
    assert tree.fingerprint(root) == before[0] and tree.fingerprint(root, contents=True) != before[1]


def test_the_place_does_not_count(tmp_path: Path) -> None:
    root = put(tmp_path / "set", *classes(2, "a", "b"))
    shutil.copytree(root, tmp_path / "else/where")
    (tmp_path / "link").symlink_to(root)
    for other in (f"{root}/", tmp_path / "else/where", tmp_path / "link"):
        assert tree.fingerprint(other) == tree.fingerprint(root) and tree.digests(other) == tree.digests(root)


def test_composed_and_decomposed_names_are_one_content(tmp_path: Path) -> None:
    one, other = (put(tmp_path / form, f"a/{name}.png") for form, name in (("c", "\u00e9"), ("d", "e\u0301")))
    assert tree.digests(one) == tree.digests(other)
    assert archives.checksum(one) == archives.checksum(other)


@pytest.mark.parametrize(
    ("patterns", "left"),
    [
        ((), ["a/1.png", "a/x.TXT", "b/deep/y.txt", "b/z.ogg"]),
        (("*.txt",), ["a/1.png", "b/z.ogg"]),
        (("*.txt", "*.ogg"), ["a/1.png"]),
        (("deep",), ["a/1.png", "a/x.TXT", "b/z.ogg"]),
        (("b/*",), ["a/1.png", "a/x.TXT"]),
        (("b",), ["a/1.png", "a/x.TXT"]),
        (("a/[0-9]*",), ["a/x.TXT", "b/deep/y.txt", "b/z.ogg"]),
    ],
)
@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_patterns_that_skip(tmp_path: Path, patterns: tuple[str, ...], left: list[str], kind: str) -> None:
    root = put(tmp_path / "set", "a/1.png", "a/x.TXT", "b/deep/y.txt", "b/z.ogg")
    assert archives.listing(packed(root, kind), skip=patterns).names == left


def test_skipped_files_change_nothing(tmp_path: Path) -> None:
    root = put(tmp_path / "set", *classes(2, "a", "b"))
    before = tree.fingerprint(root, skip=("*.txt",)), tree.digests(root, skip=("*.txt",))
    put(root, "a/x.txt", "y.txt")
    (root / "b/gone.txt").symlink_to("nowhere")
    assert (tree.fingerprint(root, skip=("*.txt",)), tree.digests(root, skip=("*.txt",))) == before
    with pytest.raises(UserError, match="a link to nothing"):
        tree.fingerprint(root)


def test_ordinary_names_are_kept() -> None:
    for name in ("a/b.png", "thumbs/db.png", "recycle/1.png", "@home/1.png", "#1/2.png", "lost and found/1.png"):
        assert not tree.left_by_systems(name)


def test_neither_torch_nor_numpy_is_imported() -> None:
    code = "import sys, diffdistill.data.tree, diffdistill.data.identity; print({'torch', 'numpy'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
