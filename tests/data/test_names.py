"""Names that mean one thing, and names that print alike."""

import pytest

from diffdistill.data import names
from diffdistill.errors import UserError


def test_usual_names_are_apart() -> None:
    usual = ["cat", "Cat", "CAT", "cats", "0", "O", "l", "1", "x\u00b2", "x2", "na\u00efve", "naive", "a_b", "a-b"]
    usual += ["\u043a\u043e\u0442", "\u732b", "\u0939\u093f", "\u0939\u0940", "\u0939", "a\u0308", "a"]
    assert not list(names.alike(usual))
    assert names.composed(["a\u0308", "b"], "here") == {"a\u0308": "\u00e4", "b": "b"}


@pytest.mark.parametrize(
    ("one", "other"),
    [("e\u0301", "\u00e9"), ("\u0430", "a"), ("\u0391", "A"), ("a\u200d", "a"), ("a  b", "a b"), ("\uff21", "A"),
     ("\ufb02", "fl"), ("a\u2011b", "a-b"), ("\u0440\u043e", "po"), ("\u212b", "\u00c5")],
)  # fmt: skip
def test_names_that_print_alike(one: str, other: str) -> None:
    assert names.look(one) == names.look(other)
    with pytest.raises(UserError, match=r"here: the names .*U\+[0-9A-F]{4}.* print alike"):
        names.composed([one, other], "here")


def test_code_points_begin_where_names_differ() -> None:
    assert names.code_points("caf\u00e9", "cafe\u0301") == "U+00E9"
    assert names.code_points("cafe\u0301", "caf\u00e9") == "U+0065 U+0301"
    assert names.code_points("a", "ab") == "nothing more" and names.code_points("ab", "a") == "U+0062"
