"""What YAML would read differently from what was written is refused with file and line."""

from pathlib import Path

import pytest

from diffdistill.config.text import refuse_ambiguous
from diffdistill.errors import UserError


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a:\n  sample: {}\n  train: {}\n  sample: {}\n", "line 4: 'sample' is repeated in a (first on line 2)"),
        ("a: 1\nb: 2\na: 3\n", "line 3: 'a' is repeated in the file (first on line 1)"),
        ("seeds: [010, 2]\n", "line 1: seeds: 010 is read as the octal number 8"),
        ("a:\n  budget: 1:30\n", "line 2: a.budget: 1:30 is read as a number in base 60"),
        ("experiments:\n  on: {}\n", "line 2: the key on in experiments is read as true or false"),
        ("experiments:\n  No: {}\n", "the key No in experiments"),
    ],
)
def test_what_is_read_otherwise_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        refuse_ambiguous([path])
    assert str(caught.value).startswith(f"{path}, line ") and message in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "a: &x {b: 1}\nc: *x\nd:\n  <<: *x\n  e: 0\n",
        "'on': {}\nseed: '010'\nrate: 1e-3\nnumber: 1_000\nhex: 0x10\nzero: 0\n",
        "{not yaml",
        "",
    ],
)
def test_the_rest_is_taken(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    refuse_ambiguous([path, tmp_path / "missing.yaml", Path(__file__).parents[2] / "config.yaml"])
