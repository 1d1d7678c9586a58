"""Values of config.yaml: what is understood, what is refused, and how blocks are written and told apart."""

import json
from typing import ClassVar

import pytest

from diffdistill.config.fields import (
    Block,
    FilePath,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    UnitInterval,
    as_json,
    describe,
    digest,
    file_name,
    read,
)
from diffdistill.errors import UserError


class Small(Block):
    renamed: ClassVar = {"number": "count"}

    count: PositiveInt
    rate: PositiveFloat = 0.5
    share: UnitInterval = 0.0
    seed: NonNegativeInt = 0
    path: FilePath = "a"


@pytest.mark.parametrize(
    ("given", "understood"),
    [("1e3", 1000), ("1_000", 1000), (2.0, 2), ("9007199254740993", 9007199254740993)],
)
def test_integers_in_other_spellings(given: object, understood: int) -> None:
    assert read(Small, {"count": given}, "here").count == understood


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"count": 0}, "here: count: "),
        ({"count": 2.5}, "count: 2.5 is not an integer"),
        ({"count": "many"}, "count: 'many' is not an integer"),
        ({"count": True}, "count: expected an integer, found true"),
        ({"count": 1, "rate": True}, "rate: expected a number, found true"),
        ({"count": 1, "rate": 0}, "rate: "),
        ({"count": 1, "rate": "nan"}, "rate: "),
        ({"count": 1, "share": 1}, "share: "),
        ({"count": 1, "path": "a{b}"}, "braces or control characters"),
        ({"count": 1, "raet": 1}, "unknown key 'raet'; did you mean 'rate'?"),
        ({"number": 1}, "'number' is now 'count'; rename it"),
        ({}, "here: count is missing; add it"),
    ],
)
def test_refusals_name_place_key_and_value(values: dict[str, object], message: str) -> None:
    with pytest.raises(UserError) as caught:
        read(Small, values, "here")
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_json_leads_back_to_the_block() -> None:
    block = Small(count=3, rate=1e-7)
    assert read(Small, json.loads(as_json(block)), "here") == block


def test_a_digest_depends_on_values_alone() -> None:
    assert digest(Small(count=3)) == digest(Small(seed=0, count=3)) != digest(Small(count=4))


def test_a_changed_copy_is_checked() -> None:
    assert Small(count=3).changed(count=4) == Small(count=4)
    with pytest.raises(ValueError, match="unknown key 'cuont'"):
        Small(count=3).changed(cuont=4)


def test_a_block_describes_its_keys() -> None:
    lines = describe(Small).splitlines()
    assert lines[0].startswith("  count: ") and lines[0].endswith("required")
    assert lines[1].endswith("default 0.5")


@pytest.mark.parametrize(
    ("url", "name"),
    [("https://a/b.zip?x=1", "b.zip"), ("https://a/", ""), ("http://[", ""), ("https://a/b%20c", "b%20c")],
)
def test_the_file_of_an_address(url: str, name: str) -> None:
    assert file_name(url) == name
