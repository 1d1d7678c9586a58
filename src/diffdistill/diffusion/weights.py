"""Files of network weights: tensors under the published names, the network's shape in the metadata."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from diffdistill.errors import UserError
from diffdistill.runtime import tensors as tensor_files

if TYPE_CHECKING:
    from diffdistill.diffusion.uvit import UViT


@dataclass(frozen=True)
class Shape:
    """The arguments of a U-ViT: all that is needed to build it again."""

    img_size: int
    in_chans: int
    num_classes: int
    patch_size: int
    embed_dim: int
    depth: int
    num_heads: int
    mlp_ratio: float

    def build(self) -> "UViT":
        # imported here: timm's layers take a second, which those who only move weights need not wait for
        from diffdistill.diffusion.uvit import UViT

        return UViT(**asdict(self))


def save(path: Path, tensors: Mapping[str, torch.Tensor], shape: Shape, metadata: Mapping[str, str]) -> None:
    tensor_files.save(path, tensors, {**metadata, "shape": json.dumps(asdict(shape))})


def load(path: Path, device: torch.device) -> tuple["UViT", Shape, dict[str, str]]:
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
