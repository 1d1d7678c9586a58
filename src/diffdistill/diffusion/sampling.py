"""Labelled images from a denoiser; image i depends on (seed, i) alone."""

import torch
from torch import Tensor

from diffdistill.config import Solver
from diffdistill.data import image_files
from diffdistill.diffusion import solvers
from diffdistill.diffusion.denoiser import Denoiser
from diffdistill.runtime.seeds import image_noise


@torch.inference_mode()
def sample(
    denoiser: Denoiser, solver: Solver, classes: Tensor, *, seed: int, first: int, device: torch.device
) -> Tensor:
    """Images first, first+1, …: uint8 (B, C, H, W) on the CPU; classes: int64 (B,).

    Where classes have sub-classes, that of an image is sampled too. Raises UserError if an image is not finite.
    """
    count = len(classes)
    noise = image_noise(seed, first, count, denoiser.image_shape).to(device)
    y = denoiser.labels.sample(classes, seed=seed, first=first).to(device)

    def predict(x: Tensor, t: Tensor) -> Tensor:
        return denoiser.predict_noise(x, t, y)

    def fresh(step: int) -> Tensor:
        # a stream of its own per image and step: a solver that adds noise is as repeatable as an ODE solver
        return image_noise(seed, first, count, denoiser.image_shape, purpose=step).to(device)

    x = solvers.solve(predict, noise, denoiser.schedule, solver, fresh=fresh)
    return image_files.to_bytes(x.float().cpu())
