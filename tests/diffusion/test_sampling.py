"""Images of a denoiser depend on (seed, i) alone."""

import pytest
import torch
from torch import Tensor

from diffdistill.config import Solver
from diffdistill.config.sampling import SOLVERS
from diffdistill.diffusion import sampling
from diffdistill.diffusion.denoiser import Denoiser, Wrapper
from diffdistill.diffusion.labels import LabelSpace, balanced
from tests.diffusion.models import COUNTS, MODELS, busy


def sample(denoiser: Denoiser, solver: Solver, first: int, count: int) -> Tensor:
    classes = balanced(first, count, 3)
    return sampling.sample(denoiser, solver, classes, seed=4, first=first, device=torch.device("cpu"))


@pytest.mark.parametrize("algorithm", SOLVERS)
@pytest.mark.parametrize("kind", MODELS)
def test_no_image_depends_on_the_batch(kind: str, algorithm: str) -> None:
    denoiser, solver = (
        busy(MODELS[kind], LabelSpace(num_classes=3, subclasses=COUNTS)),
        Solver(algorithm=algorithm, nfe=3),
    )
    together = sample(denoiser, solver, 0, 9)
    assert together.shape == (9, 1, 8, 8) and together.dtype == torch.uint8
    apart = torch.cat([sample(denoiser, solver, first, 3) for first in (0, 3, 6)])
    assert (together.int() - apart.int()).abs().max() <= 1
    assert len({image.numpy().tobytes() for image in together}) == 9


class Seen(Wrapper):
    """Remembers the labels that it was asked for."""

    def predict_noise(self, x: Tensor, t: Tensor, y: Tensor | None) -> Tensor:
        self.y = y
        return self.inner.predict_noise(x, t, y)


def test_subclasses_are_sampled_for_the_classes() -> None:
    space = LabelSpace(num_classes=3, subclasses=COUNTS, null_label=True)
    denoiser = Seen(busy(labels=space))
    sample(denoiser, Solver(nfe=1), 7, 50)
    assert denoiser.y is not None and int(denoiser.y.max()) > 2
    assert torch.equal(denoiser.y, space.sample(balanced(7, 50, 3), seed=4, first=7))
