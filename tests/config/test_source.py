"""What a source can be, and what is refused before any job."""

from typing import Any

import pytest
import yaml

from diffdistill import config
from diffdistill.config import Source
from diffdistill.config.fields import read
from diffdistill.config.source import CIFAR100
from diffdistill.errors import UserError
from tests.shipped import REPOSITORY

FOLDER = {"kind": "folder", "path": "x", "validation_per_class": 1}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"size": True}, "size: expected an integer, found true"),
        ({"bits": True}, "bits: expected an integer, found true"),
        ({"validation_per_class": False}, "validation_per_class: expected an integer, found false"),
        ({"test_per_class": True}, "test_per_class: expected an integer, found true"),
        ({"seed": True}, "seed: expected an integer, found true"),
        ({"bits": 17}, "bits: .*less than or equal to 16"),
        ({"bits": 0}, "bits: .*greater than or equal to 1"),
        ({"path": True}, "path: .*valid string"),
        ({"skip": "*.txt"}, "skip: .*tuple"),
        ({"skip": [""]}, "skip.0: .*at least 1 character"),
        ({"skip": [True]}, "skip.0: .*valid string"),
        ({"splits": {"test": "b"}}, "splits: train is missing"),
        ({"splits": {"train": "b", "test": "b/"}}, "splits: one folder is named twice"),
        ({"splits": {"val": "b"}}, "splits: unknown key 'val'; known keys: train, validation, test"),
        ({"empty_classes": "keep"}, "empty_classes: .*'refuse' or 'drop'"),
        ({"verify": "hash"}, "verify: .*'dates' or 'contents'"),
        ({"kind": "idx", "size": 8}, "size is for a folder of pictures, not for 'idx'"),
        ({"kind": "idx", "bits": 12}, "bits is for a folder of pictures"),
        ({"kind": "cifar100", "skip": ["*.txt"]}, "skip is for a folder of pictures"),
        ({"kind": "tinyimagenet", "splits": {"train": "a"}}, "splits is for a folder of pictures"),
        ({"kind": "idx", "groups": "(a)"}, "groups is for a folder of pictures"),
        ({"kind": "idx", "validation_per_class": None}, "validation_per_class is missing; 'idx' has no validation"),
        ({"kind": "digits", "path": None}, "test_per_class is missing; 'digits' has no test split"),
    ],
)
def test_what_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read(Source, FOLDER | changed, "config.yaml")
    assert "\n" not in str(caught.value)


def test_groups_are_a_table_or_a_pattern() -> None:
    for given, expected in (("People.CSV", ("People.CSV", None)), (r"(\d+)_", (None, r"(\d+)_"))):
        groups = Source.model_validate(FOLDER | {"groups": given}).groups
        assert groups is not None and (groups.table, groups.pattern) == expected


@pytest.mark.parametrize(
    ("place", "known"),
    [
        ({"path": "data/cifar-100-python.tar.gz"}, True),
        ({"path": "CIFAR100/"}, True),
        ({"path": "cifar-10-python.tar.gz"}, False),
        ({"path": "cifar-100/cifar-10-batches-py"}, False),
        ({"path": "archive"}, False),
        ({"urls": ["https://a.b/x.tgz"], "checksum": "md5:EB9058C3A382FFC7106E4002C42A8D85"}, True),
        ({"urls": ["https://a.b/x.tgz"], "checksum": "md5:" + "0" * 32}, False),
        ({"urls": ["https://a.b/cifar-100.zip?dl=1"], "checksum": "md5:" + "0" * 32}, True),
    ],
)
def test_cifar10_is_not_taken_for_cifar100(place: dict[str, Any], known: bool) -> None:
    source = Source.model_validate({"kind": "cifar100", "validation_per_class": 1, **place})
    assert source.known_set == ("cifar100" if known else None)


@pytest.mark.parametrize(
    ("file", "experiment"), [("config.yaml", "cifar100"), ("config/track1.yaml", "cifar100_track1")]
)
def test_the_shipped_files_fetch_the_archive_that_is_known(file: str, experiment: str) -> None:
    shipped = yaml.safe_load((REPOSITORY / file).read_text())["experiments"][experiment]["source"]
    assert shipped["checksum"] == CIFAR100


def test_where_the_content_lies_does_not_decide_the_splits() -> None:
    one = Source.model_validate(FOLDER | {"groups": "a.csv"})
    other = Source.model_validate(FOLDER | {"path": "y/", "verify": "contents", "groups": "b.csv"})
    assert one.how_cut == other.how_cut
    fetched = FOLDER | {"path": None, "urls": ["https://a.b/c.zip"], "checksum": "md5:" + "0" * 32, "groups": "a.csv"}
    assert Source.model_validate(fetched).how_cut == one.how_cut
    assert config.as_json(one) == config.as_json(Source.model_validate(one.model_dump(mode="json")))
