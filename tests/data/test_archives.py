"""Archives that lie, are cut, or hold what no set of images holds."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from diffdistill.data import archives
from diffdistill.errors import UserError
from tests.data.pictures import packed, put


@pytest.mark.parametrize("kind", ["folder", "zip", "gztar"])
def test_a_listing_has_empty_folders_and_counts_what_is_left_out(tmp_path: Path, kind: str) -> None:
    put(tmp_path / "set", "a/1.png", "b/", "a/Thumbs.db", "c/x.txt", "@eaDir/a/1.png")
    found = archives.listing(packed(tmp_path / "set", kind), skip=("*.txt",))
    assert found.names == ["a/1.png"] and found.folders == ["a", "b", "c"]
    assert {*found.left} == {"Thumbs.db", "@eaDir"} and found.skipped == 1
    assert [name for name, _ in archives.read(packed(tmp_path / "set", kind), lambda name: True)] >= ["a/1.png"]


def _named(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.size, member.linkname = kind, size, "/etc/passwd"
    return member


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (_named("../evil"), "points outside"),
        (_named("/absolute/evil"), "points outside"),
        (_named("a/link.png", tarfile.SYMTYPE), "link or a device"),
        (_named("a/hard.png", tarfile.LNKTYPE), "link or a device"),
        (_named("a/device", tarfile.CHRTYPE), "link or a device"),
        (_named("a/bomb.png", size=1 << 40), "not plausible"),
    ],
)
def test_hostile_tar_members_are_refused(tmp_path: Path, member: tarfile.TarInfo, message: str) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        archive.addfile(member)
    with pytest.raises(UserError, match=message) as caught:
        archives.names(tmp_path / "x.tar")
    assert "\n" not in str(caught.value) and [file.name for file in tmp_path.iterdir()] == ["x.tar"]


@pytest.mark.parametrize("length", [2900, 2000, 1536, 10])
def test_cut_archives_are_refused(tmp_path: Path, length: int) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive, tarfile.open(tmp_path / "x.tar", "w") as tar:
        for index in range(3):
            archive.writestr(f"a/{index}.png", bytes(900))
            tar.addfile(_named(f"a/{index}.png", size=900), io.BytesIO(bytes(900)))
    for name in ("x.zip", "x.tar"):
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[:length])
        with pytest.raises(UserError, match="not a whole zip or tar"):
            list(archives.read(tmp_path / name, lambda name: True))


def test_a_zip_bomb_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/bomb.png", bytes(100 << 20))
    with pytest.raises(UserError, match="not plausible"):
        archives.names(tmp_path / "x.zip")
