"""States of one training say the same of their origin; what differs is named."""

from diffdistill.diffusion import training

DATA = {"classes": "[]", "source_checksum": "none", "cut": "a", "made_by": "nobody"}
SETTINGS = {"train": {"seed": 1, "flip": True}, "snapshot_every": 5}


def test_the_same_origin() -> None:
    metadata = training.origin_metadata(SETTINGS, DATA)
    assert training.differences(metadata, metadata | {"iteration": "7"}) == []
    assert training.settings_of(metadata) == SETTINGS and training.settings_of({}) == {}
    assert "made_by" not in metadata


def test_differences_are_named_by_their_key() -> None:
    ours = training.origin_metadata(SETTINGS, DATA)
    theirs = training.origin_metadata({"train": {"seed": 2}, "snapshot_every": 5}, DATA | {"cut": "b"})
    assert training.differences(theirs, ours) == [
        "train.flip None against True",
        "train.seed 2 against 1",
        "cut b against a",
    ]


def test_of_the_data_only_what_both_say_is_compared() -> None:
    ours = training.origin_metadata(SETTINGS, DATA)
    assert training.differences(training.origin_metadata(SETTINGS, {"classes": "[]"}), ours) == []
