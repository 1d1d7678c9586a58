"""Files of EMA weights: tensors under the network's names, and in the metadata the denoiser that they are for."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from diffdistill.config import parse_model
from diffdistill.diffusion.denoiser import NetworkDenoiser
from diffdistill.diffusion.labels import LabelSpace
from diffdistill.diffusion.schedule import VPSchedule
from diffdistill.errors import UserError
from diffdistill.runtime import tensor_files

DENOISER, TUNED = "denoiser", "tuned"


@dataclass(frozen=True)
class Checkpoint:
    """A weights file as it was read."""

    path: Path
    denoiser: NetworkDenoiser
    """In evaluation mode."""
    metadata: Mapping[str, str]
    """All that the file says of itself."""

    @property
    def step(self) -> int:
        """The iteration. Raises UserError if the file does not say it."""
        try:
            return int(self.metadata["step"])
        except (KeyError, ValueError) as error:
            raise UserError(f"{self.path}: its metadata names no iteration ('step')") from error

    @property
    def classes(self) -> list[str]:
        """Class names in the order of the labels. Raises UserError if the file does not say them."""
        try:
            names = json.loads(self.metadata["classes"])
        except (KeyError, ValueError) as error:
            raise UserError(f"{self.path}: its metadata names no classes") from error
        return [str(name) for name in names]

    @property
    def tuned(self) -> bool:
        """Whether it was tuned for the consistency function."""
        return TUNED in self.metadata


def from_description(description: Mapping[str, Any]) -> NetworkDenoiser:
    """The denoiser of `NetworkDenoiser.describe`, newly initialised.

    Raises KeyError, TypeError or ValueError for another description.
    """
    labels = description["labels"]
    channels, height, width = description["image_shape"]
    return NetworkDenoiser(
        parse_model(description["model"]),
        labels=LabelSpace(
            num_classes=labels["num_classes"],
            subclasses=tuple(tuple(row) for row in labels["subclasses"]),
            null_label=labels["null_label"],
        ),
        image_shape=(channels, height, width),
        augment_dim=description["augment_dim"],
        schedule=VPSchedule(**description["schedule"]),
    )


def save(path: Path | str, tensors: Mapping[str, torch.Tensor], description: str, metadata: Mapping[str, str]) -> None:
    """tensors: state dict of the network; description: JSON of `NetworkDenoiser.describe`."""
    tensor_files.save(Path(path), tensors, {**metadata, DENOISER: description})


def save_denoiser(path: Path | str, denoiser: NetworkDenoiser, metadata: Mapping[str, str]) -> None:
    """The denoiser with its weights as they are."""
    save(path, denoiser.network.state_dict(), json.dumps(denoiser.describe()), metadata)


def load(path: Path | str, device: torch.device | str = "cpu") -> Checkpoint:
    """Read a weights file, and move the denoiser to the device.

    Raises UserError if a tensor is missing, superfluous, of another shape or not finite.
    """
    path = Path(path)
    tensors, metadata = tensor_files.load(path)
    if DENOISER not in metadata:
        raise UserError(f"{path}: its metadata describes no denoiser; delete it and run again")
    try:
        denoiser = from_description(json.loads(metadata[DENOISER]))
    except (KeyError, TypeError, ValueError) as error:
        line = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: describes no denoiser of this version ({line}); delete it and run again") from error
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise UserError(f"{path}: tensor {name} is not finite; train again from the slice before")
    try:
        denoiser.network.load_state_dict(tensors, strict=True)
    except RuntimeError as error:
        raise UserError(f"{path}: weights do not fit the network ({' '.join(str(error).split())})") from error
    return Checkpoint(path, denoiser.to(device).eval(), metadata)


def load_guide(paths: Sequence[Path | str], step: int, guided: Checkpoint, device: torch.device | str) -> Checkpoint:
    """Of several weights files, the one of iteration `step`, to guide a checkpoint of the same run.

    Raises UserError if it is not there, not of the same run, or not of an earlier iteration.
    """
    path = next((Path(given) for given in paths if Path(given).stem == str(step)), None)
    if path is None:
        given = ", ".join(str(path) for path in paths) or "none"
        raise UserError(f"no weights of iteration {step}, which are to guide, are given; given: {given}")
    guide = load(path, device)
    if any(guide.metadata.get(key) != guided.metadata.get(key) for key in (DENOISER, "config")):
        raise UserError(f"{path}: not of the run of {guided.path}; train both again")
    if guide.step >= guided.step:
        raise UserError(
            f"iteration {guide.step}, which is to guide, is not before the iteration {guided.step} of {guided.path}; "
            "give an earlier one"
        )
    return guide
