"""The stage writes what it is asked for; the card names files, origin, accuracies, audit and licence."""

import json
from pathlib import Path

import pytest
import torch

from diffdistill.data import image_files
from diffdistill.runtime import files
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


@pytest.mark.parametrize("audited", [True, False])
def test_the_card(folder: Path, audited: bool) -> None:
    (folder / "images.zip").write_bytes(b"zip")
    (folder / "train.parquet").write_bytes(b"parquet")
    head = "experiment,train_set,images,seed,accuracy,epochs,seconds\n"
    (folder / "accuracy").write_text(head + "mine,distilled,256,0,0.9,1,1\nmine,distilled,256,1,0.8,1,1\n")
    (folder / "baselines").write_text(head + "mine,real,500,0,0.95,1,1\n")
    shares = {"pixels": {"share_in_train": {"value": 0.51, "low": 0.4, "high": 0.6, "p_value": 0.4}}}
    audit = {
        "flagged": False, "reasons": [], "noticed": ["the loss is lower"], "images": {"generated": 256},
        "equal_to_a_train_image": 0, "three_times_nearer_to_one": {"generated": {"value": 0.01}}, "nearest": shares,
    }  # fmt: skip
    files.write_json(folder / "audit", audit)
    names = ("distilled", "accuracy", "baselines", *(["audit"] if audited else []))
    inputs = [(name, folder / name) for name in names] + [("real", folder / "distilled")]
    inputs += [("files", folder / name) for name in ("images.zip", "train.parquet")]
    settings = {"experiment": "mine", "source": "folder", "licence": "CC0."}
    assert command.run("export_card", settings, inputs, {"card": folder / "README.md"}) == 0
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nlicense: other\n") and "path: train.parquet" in card
    assert "| this set | 256 | 2 | 0.8500 ± 0.0707 |" in card and "| all real images | 500 | 1 | 0.9500 |" in card
    assert f"| images.zip | 3 | {files.sha256(folder / 'images.zip')} |" in card
    assert "diffdistill sample, step 5" in card and card.endswith("The real images: CC0.\n")
    assert ("No sign of copies" in card and "- the loss is lower" in card) == audited
