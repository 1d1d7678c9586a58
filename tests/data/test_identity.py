"""The record of a source's content."""

from pathlib import Path

import pytest

from diffdistill.data import identity

RECORD = identity.Record("v", "f", {"sha256": "1", "md5": "2"}, "{}", ["data/raw/x/y.zip"])


def test_a_record_comes_back(tmp_path: Path) -> None:
    identity.write(tmp_path / "a/source.json", RECORD)
    assert identity.read(str(tmp_path / "a/source.json")) == RECORD
    assert identity.read(tmp_path / "absent") is None and identity.read(tmp_path / "a/source.json/x") is None


@pytest.mark.parametrize(
    ("digests", "same"),
    [({"sha256": "1"}, True), ({"md5": "2"}, True), ({"md5": "1"}, False), ({"sha1": "1"}, False), ({}, False)],
)
def test_one_equal_digest_is_the_same_content(digests: dict[str, str], same: bool) -> None:
    assert RECORD.same_content(digests) is same


def test_a_record_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    identity.refresh(tmp_path / "file/source.json", RECORD)
    with pytest.raises(OSError, match="file"):
        identity.write(tmp_path / "file/source.json", RECORD)
