"""The stage hands addresses and checksum to the library, whose behaviour tests/data/test_fetching.py shows."""

import hashlib
from pathlib import Path

import pytest

from tests import command


def test_a_file_address_is_copied_and_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = {"urls": ["ftp://127.0.0.1:1/none.zip"], "checksum": f"md5:{hashlib.md5(b'x').hexdigest()}"}
    assert command.run("fetch", settings, {}, {"file": tmp_path / "x"}) == 2
    error = capsys.readouterr().err
    assert "none.zip" in error and "Traceback" not in error and not list(tmp_path.iterdir())
