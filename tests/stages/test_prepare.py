"""The three splits of a source: what each holds, and what it says of itself."""

import json
from pathlib import Path

import numpy as np

from diffdistill.data import digits, image_files, splits
from tests import command


def test_each_split_is_cut_by_class_and_a_seed_of_its_own(tmp_path: Path) -> None:
    outputs = {name: tmp_path / name for name in ("train", "validation", "test")}
    settings = {"kind": "digits", "test_per_class": 20, "validation_per_class": 7, "seed": 3}
    assert command.run("prepare", {"source": settings}, {}, outputs) == 0
    raw = digits.read()
    rest, test = splits.cut(raw.train_labels, per_class=20, seed=3)
    train, validation = splits.cut(raw.train_labels[rest], per_class=7, seed=4)
    expected = {"train": rest[train], "validation": rest[validation], "test": test}
    assert sorted(np.concatenate(list(expected.values()))) == list(range(1797))
    for name, indices in expected.items():
        found = image_files.load(tmp_path / name)
        assert np.array_equal(found.images.numpy(), raw.train_images[indices])
        assert np.array_equal(found.labels.numpy(), raw.train_labels[indices])
        assert found.metadata["split"] == name and found.metadata["source_checksum"] == raw.checksum
        assert json.loads(found.metadata["cut"]).items() >= settings.items()
