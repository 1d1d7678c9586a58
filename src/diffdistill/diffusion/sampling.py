"""Labelled images from a trained network; image i depends on (seed, i) alone."""

from typing import Any

import torch
from torch import Tensor

from diffdistill.data import images as image_files
from diffdistill.diffusion import solvers
from diffdistill.diffusion.schedule import VPSchedule
from diffdistill.diffusion.uvit import UViT
from diffdistill.diffusion.weights import Shape
from diffdistill.runtime.seeds import image_noise


def labels_of(first: int, count: int, num_classes: int) -> Tensor:
    """Labels (count,) int64 of images first, first+1, …: 0..K-1 again and again, so that every prefix is balanced."""
    return torch.arange(first, first + count) % num_classes


@torch.inference_mode()
def draw(
    network: UViT, shape: Shape, solver: dict[str, Any], *, seed: int, first: int, count: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Images first .. first+count-1: uint8 (count, C, H, W) and their labels int64 (count,), both on the CPU.

    solver: algorithm, method, order, steps, spacing and t_end, as in the config.
    """
    labels = labels_of(first, count, shape.num_classes)
    noise = image_noise(seed, first, count, (shape.in_chans, shape.img_size, shape.img_size)).to(device)
    y, schedule = labels.to(device), VPSchedule()

    def predict(x: Tensor, t: Tensor) -> Tensor:
        return network(x, t, y)  # type: ignore[no-any-return]

    if solver["algorithm"] == "ancestral":

        def fresh(step: int) -> Tensor:
            # a stream of its own per image and step: an ancestral sample is as repeatable as an ODE's
            return image_noise(seed, first, count, tuple(noise.shape[1:]), purpose=step).to(device)

        x = solvers.ancestral(predict, noise, schedule, steps=solver["steps"], t_end=solver["t_end"], fresh=fresh)
    else:
        x = solvers.solve(predict, noise, schedule, **solver)
    return image_files.to_bytes(x.float().cpu()), labels
