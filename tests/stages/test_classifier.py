"""The classifier is a function of the train split, the protocol and the seed."""

import json
from pathlib import Path

import torch

from diffdistill.classify.training import Classifier
from diffdistill.data import image_files
from diffdistill.runtime import tensor_files
from tests import command


def trained(folder: Path, name: str, seed: int = 0) -> dict[str, torch.Tensor]:
    settings = {"protocol": {"steps": 3, "batch_size": 8, "width": 4}, "seed": seed}
    inputs, outputs = {"train": folder / "train"}, {"classifier": folder / name}
    assert command.run("classifier", settings, inputs, outputs) == 0
    return dict(Classifier.from_file(folder / name).state_dict())


def test_the_seed_decides_and_the_file_says_what_it_is_of(tmp_path: Path) -> None:
    images = torch.randint(0, 256, (20, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    metadata = {"classes": json.dumps(["a", "b"]), "source_checksum": "x", "cut": "{}"}
    image_files.save(tmp_path / "train", images, torch.arange(20) % 2, metadata)
    one, again, other = trained(tmp_path, "one"), trained(tmp_path, "again"), trained(tmp_path, "other", seed=1)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)
    found = tensor_files.load(tmp_path / "one")[1]
    assert {key: found[key] for key in metadata} == metadata
    assert json.loads(found["made_from"])["settings"]["seed"] == 0
