"""A generator made of a denoiser that was trained elsewhere: by this workflow, or by the published U-ViT code.

U-ViT: Bao et al. 2023, arXiv 2209.12152; its `nnet_ema.pth` holds a state dict under the names that our network has.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from diffdistill.config import ModelBlock, Sample
from diffdistill.config.generator import WeightsGenerator
from diffdistill.data.sets.classes import RealSet, order_of
from diffdistill.diffusion import checkpoints, pretrained, running
from diffdistill.diffusion.denoiser import NetworkDenoiser
from diffdistill.diffusion.labels import LabelSpace
from diffdistill.diffusion.networks.base import LABEL
from diffdistill.errors import UserError
from diffdistill.generators.diffusion import DiffusionGenerator


@dataclass(frozen=True)
class Renumbered:
    """A generator whose classes have other numbers than the real data's."""

    inner: DiffusionGenerator
    numbers: Tensor
    """int64 (K,): the generator's number of each real class."""

    @property
    def num_classes(self) -> int:
        return len(self.numbers)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return self.inner.image_shape

    def generate(self, first: int, labels: Tensor) -> Tensor:
        """See `Generator.generate`."""
        return self.inner.generate(first, self.numbers[labels])

    def describe(self, images: int) -> dict[str, Any]:
        """See `Generator.describe`."""
        return {**self.inner.describe(images), "kind": "weights"}


def load(
    block: WeightsGenerator, real: RealSet, settings: Sample, *, device: torch.device
) -> tuple[Renumbered, int | None]:
    """The generator, and the only batch size it takes, or None.

    Raises UserError if the file does not fit its network, or the real data's shape or classes, or if the order of its
    classes is not known.
    """
    path = Path(block.path)
    denoiser, names = _published(path, block.model, real) if block.model is not None else _own(path)
    if denoiser.image_shape != real.image_shape:
        raise UserError(f"{path}: makes images of {denoiser.image_shape}, the real ones have {real.image_shape}")
    if denoiser.labels.num_classes != len(real.classes):
        raise UserError(f"{path}: knows {denoiser.labels.num_classes} classes, the real data has {len(real.classes)}")
    if settings.guidance is not None and settings.guidance.from_step is not None:
        raise UserError(f"{path}: has no weights of an earlier iteration to guide it; guide without one")
    if settings.guidance is not None and not denoiser.labels.null_label:
        raise UserError(f"{path}: has no null label, so it cannot guide itself; leave guidance out")
    if settings.solver.algorithm == "consistency":
        raise UserError(f"{path}: not tuned here, as the solver 'consistency' needs; take another solver")
    order, _ = order_of(path, names, block.classes, real)  # the real class of each number of the file
    denoiser = denoiser.to(device).eval()
    plan = running.plan(
        denoiser, precision=settings.precision, compile=settings.compile, batch_size=settings.batch_size,
        budget_seconds=settings.budget_seconds, device=device,
    )  # fmt: skip
    about = {
        "model": denoiser.model.model_dump(mode="json"),
        "parameters": denoiser.parameter_count,
        "bytes": path.stat().st_size,
        "plan": plan.describe(),
    }
    inner = DiffusionGenerator(
        plan.denoiser, settings.solver, seed=settings.seed, device=device, guidance=settings.guidance,
        fixed_batch_size=plan.batch_size, about=about,
    )  # fmt: skip
    return Renumbered(inner, torch.from_numpy(order).argsort()), plan.batch_size


def _own(path: Path) -> tuple[NetworkDenoiser, list[str] | None]:
    """A checkpoint of this workflow, and its class names."""
    if path.suffix != ".safetensors":
        raise UserError(f"{path}: does not say its network; give the model's block beside the path")
    checkpoint = checkpoints.load(path)
    return checkpoint.denoiser, checkpoint.classes


def _published(path: Path, model: ModelBlock, real: RealSet) -> tuple[NetworkDenoiser, list[str] | None]:
    """A state dict alone; a label beyond the classes is the null label."""
    tensors, metadata = pretrained.read(path)
    rows = [len(tensor) for name, tensor in tensors.items() if name.endswith(LABEL)]
    if len(rows) != 1 or rows[0] - len(real.classes) not in (0, 1):
        raise UserError(
            f"{path}: knows {rows[0] if rows else 'no'} labels, the real data has {len(real.classes)} classes"
        )
    labels = LabelSpace(num_classes=len(real.classes), null_label=rows[0] > len(real.classes))
    with torch.random.fork_rng(devices=[]):
        denoiser = NetworkDenoiser(model, labels=labels, image_shape=real.image_shape)
    names = json.loads(metadata["classes"]) if "classes" in metadata else None
    fitted = pretrained.load_into(denoiser.network, path, names or [])
    if fitted.made or fitted.dropped:
        raise UserError(f"{path}: not all of the network's weights ({fitted})")
    return denoiser, names
