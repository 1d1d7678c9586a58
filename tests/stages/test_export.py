"""The stage writes what it is asked for."""

import json
from pathlib import Path
from typing import Any

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


def audit(folder: Path, *measures: tuple[str, str], of: str = "distilled") -> Path:
    listed = [{"name": name, "verdict": verdict, "reason": f"why {name}"} for name, verdict in measures]
    made_from = {"inputs": {"distilled": [files.sha256(folder / of)]}}
    files.write_json(folder / "audit.json", {"verdict": "any", "measures": listed, "made_from": made_from})
    return folder / "audit.json"


def exported(folder: Path, *despite: str) -> int:
    settings: dict[str, Any] = {"form": "images", "protocol": PROTOCOL, "release": {"despite": despite}}
    inputs = {"distilled": folder / "distilled", "audit": folder / "audit.json"}
    return command.run("export", settings, inputs, {"file": folder / "images.zip"})


def test_a_set_leaves_only_if_its_audit_passes_or_every_other_measure_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audit(folder, ("identical", "pass"), ("copies", "cannot tell"), ("nearest_neighbour", "flagged"))
    assert exported(folder) == 2 and exported(folder, "copies") == 2 and not (folder / "images.zip").exists()
    error = capsys.readouterr().err
    assert "nearest_neighbour flagged: why nearest_neighbour; copies cannot tell: why copies" in error
    assert "release: { despite: [nearest_neighbour, copies] }" in error
    assert exported(folder, "copies", "nearest_neighbour") == 0 and (folder / "images.zip").exists()
    audit(folder, ("identical", "pass"))
    assert exported(folder) == 0


def test_the_audit_of_another_set_says_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "other").write_bytes(b"other")
    audit(folder, ("identical", "pass"), of="other")
    assert exported(folder) == 2 and "is not the audit of" in capsys.readouterr().err


def test_names_of_measures_are_checked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    audit(folder)
    assert exported(folder, "nearest_neighbor") == 2
    assert "unknown measure 'nearest_neighbor'; known: identical, copies" in capsys.readouterr().err
