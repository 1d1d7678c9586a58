"""The stage writes what it is asked for."""

import json
from pathlib import Path

import pytest
import torch

from diffdistill.data import image_files
from tests import command

CLASSES = ["a", "b"]
PROTOCOL = {"steps": 1, "mean": [0.5], "std": [0.25]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images = torch.arange(256, dtype=torch.uint8)[:, None, None, None].expand(256, 1, 4, 4).contiguous()
    metadata = {"classes": json.dumps(CLASSES), "made_by": "diffdistill sample, step 5", "source_checksum": "abc"}
    image_files.save(tmp_path / "distilled", images, torch.arange(256) % 2, metadata)
    return tmp_path


def test_images_and_challenge(folder: Path) -> None:
    for form, file in (("images", "images.zip"), ("challenge", "challenge.pt")):
        settings = {"form": form, "protocol": PROTOCOL, "challenge_per_class": 10}
        assert command.run("export", settings, {"distilled": folder / "distilled"}, {"file": folder / file}) == 0
    tensor = torch.load(folder / "challenge.pt", weights_only=True)
    assert tensor.shape == (20, 3, 4, 4)
    assert float(tensor[1, 0, 0, 0]) == pytest.approx((2 / 255 - 0.5) / 0.25)  # the second of class a is image 2
    assert (folder / "images.zip").stat().st_size > 0
