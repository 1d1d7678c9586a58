"""A diffusion model as a differentiable map from noise to images, for what optimises the noise.

GLaD (Cazenavette et al. 2023, arXiv 2305.01649) optimises the latents of a GAN; here they are the noise of a diffusion
model, and a few evaluations keep the way back short.
"""

from collections.abc import Callable

from torch import Tensor

from diffdistill.config import Solver
from diffdistill.diffusion import solvers
from diffdistill.diffusion.denoiser import Denoiser
from diffdistill.runtime.seeds import image_noise


def decoder(denoiser: Denoiser, solver: Solver, *, seed: int) -> Callable[[Tensor, Tensor, int], Tensor]:
    """(noise (B, C, H, W), classes int64 (B,), first) -> images first, first+1, … in about [-1, 1], like the noise.

    Differentiable in the noise, and a function of it: sub-classes, and the noise that a solver adds on the way, depend
    on (seed, i) alone.
    """

    def decode(noise: Tensor, classes: Tensor, first: int) -> Tensor:
        y = denoiser.labels.sample(classes.cpu(), seed=seed, first=first).to(noise.device)

        def predict(x: Tensor, t: Tensor) -> Tensor:
            return denoiser.predict_noise(x, t, y)

        def fresh(step: int) -> Tensor:
            return image_noise(seed, first, len(noise), denoiser.image_shape, purpose=step).to(noise.device)

        return solvers.solve(predict, noise, denoiser.schedule, solver, fresh=fresh)

    return decode
