"""Pictures and tables as they stand inside a page."""

from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from diffdistill.errors import UserError
from diffdistill.report import html


def test_a_picture_is_inside_the_page_in_its_size_and_escaped(tmp_path: Path) -> None:
    Image.new("L", (600, 300)).save(tmp_path / "a.png")
    text = html.image(tmp_path / "a.png", "a <picture>", "b & c", 2, "chart")
    assert 'src="data:image/png;base64,' in text and 'width="300" height="150"' in text
    assert 'alt="a &lt;picture&gt;"' in text and "<figcaption>b &amp; c</figcaption>" in text


def test_a_missing_and_a_broken_picture_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.png: no such file; run the rule that makes it"):
        html.picture(tmp_path / "a.png", "", "")
    (tmp_path / "a.png").write_bytes(b"png")
    with pytest.raises(UserError, match=r"a\.png: not a whole png; delete it and run again"):
        html.picture(tmp_path / "a.png", "", "")


def test_numbers_stand_right_and_are_written_for_readers() -> None:
    grid = html.grid_of("Some", pd.DataFrame({"team": ["a"], "images": [12345], "fid": [1.234]}))
    assert grid["columns"] == [("team", "text"), ("images", "number"), ("FID", "number")]
    assert grid["rows"] == [[("a", "text"), ("12,345", "number"), ("1.23", "number")]]


def test_a_template_escapes_and_misses_no_name() -> None:
    assert html.template("grid.html").environment.autoescape is True
