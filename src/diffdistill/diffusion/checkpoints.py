"""Files of network weights: tensors under the published names, the network's shape in the metadata."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from diffdistill.diffusion.uvit import UViT
from diffdistill.errors import UserError
from diffdistill.runtime import tensor_files


@dataclass(frozen=True)
class Shape:
    """All that is needed to build a U-ViT again, and to know what its labels mean.

    A label of the network is part x num_classes + class; of an undivided class, and of its first part, it is the class.
    """

    img_size: int
    in_chans: int
    num_classes: int
    patch_size: int
    embed_dim: int
    depth: int
    num_heads: int
    mlp_ratio: float
    subclasses: Sequence[Sequence[int]] = ()
    """How many train images each part of each class has, (num_classes, parts); empty: classes are not divided."""
    null_label: bool = False
    """One more label, the last, for images without one."""
    augment_dim: int = 0
    """Numbers that say how a train image was changed."""

    @property
    def labels(self) -> int:
        """How many labels the network knows."""
        return self.num_classes * (len(self.subclasses[0]) if self.subclasses else 1) + self.null_label

    def build(self) -> UViT:
        arguments = asdict(self) | {"num_classes": self.labels}
        return UViT(**{name: value for name, value in arguments.items() if name not in ("subclasses", "null_label")})


def save(path: Path, tensors: Mapping[str, torch.Tensor], shape: Shape, metadata: Mapping[str, str]) -> None:
    tensor_files.save(path, tensors, {**metadata, "shape": json.dumps(asdict(shape))})


def load_guide(
    paths: Sequence[Path], step: int, guided: tuple[Path, Shape, Mapping[str, str]], device: torch.device
) -> UViT:
    """Of several weights files, the network of iteration `step`, to guide one given by path, shape and metadata.

    Raises UserError if it is not there, not of the same run, or not of an earlier iteration.
    """
    path, shape, made = guided
    other = next((given for given in paths if given.stem == str(step)), None)
    if other is None:
        raise UserError(f"--in guide=PATH: no weights of iteration {step} are given")
    network, other_shape, other_made = load(other, device)
    if other_shape != shape or other_made.get("config") != made.get("config"):
        raise UserError(f"{other}: not of the run of {path}; train both anew")
    if int(other_made["step"]) >= int(made["step"]):
        raise UserError(
            f"guidance.from_step: {other_made['step']} is not before the iteration {made['step']} of {path}; "
            "give an earlier one"
        )
    return network


def load(path: Path, device: torch.device) -> tuple[UViT, Shape, dict[str, str]]:
    """The network in evaluation mode, its shape, and the file's metadata.

    Raises UserError if a tensor is missing, superfluous, of another shape or not finite.
    """
    tensors, metadata = tensor_files.load(path)
    if "shape" not in metadata:
        raise UserError(f"{path}: no network shape in its metadata; it was not written by this workflow")
    shape = Shape(**json.loads(metadata["shape"]))
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise UserError(f"{path}: tensor {name} is not finite; train again from the slice before")
    network = shape.build()
    try:
        network.load_state_dict(tensors, strict=True)
    except RuntimeError as error:
        raise UserError(f"{path}: weights do not fit the network ({' '.join(str(error).split())})") from error
    return network.to(device).eval(), shape, metadata
