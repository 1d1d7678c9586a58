"""The decoder against a denoiser whose images are known in closed form."""

import torch
from torch import Tensor

from diffdistill.config import Prediction, Solver
from diffdistill.data import image_files
from diffdistill.diffusion import sampling
from diffdistill.diffusion.labels import LabelSpace
from diffdistill.diffusion.schedule import VPSchedule
from diffdistill.generators.latent import decoder
from diffdistill.runtime.seeds import generator, image_noise

SPREAD = 0.2
FEW = Solver(algorithm="consistency", nfe=2)


class Normal:
    """Images of class y are normal around (y - 1) / 2 with the same spread in every pixel."""

    schedule = VPSchedule()
    prediction: Prediction = "noise"
    labels = LabelSpace(num_classes=3)
    image_shape = (1, 4, 4)

    def predict_noise(self, x: Tensor, t: Tensor, y: Tensor | None) -> Tensor:
        assert y is not None
        alpha, sigma = (one[:, None, None, None] for one in (self.schedule.alpha(t), self.schedule.sigma(t)))
        mean = ((y - 1) / 2)[:, None, None, None].to(x)
        return (sigma * (x - alpha * mean) / ((alpha * SPREAD) ** 2 + sigma**2)).to(x)


def test_the_decoder_is_the_sampler_without_its_noise_and_its_bytes() -> None:
    classes = torch.tensor([0, 1, 2, 0])
    for solver in (FEW, Solver(nfe=4)):
        decode = decoder(Normal(), solver, seed=3)
        made = decode(image_noise(3, 5, 4, (1, 4, 4)), classes, 5)
        sampled = sampling.sample(Normal(), solver, classes, seed=3, first=5, device=torch.device("cpu"))
        assert torch.equal(image_files.to_bytes(made), sampled)


def test_the_gradient_for_the_noise_is_the_slope() -> None:
    decode, classes = decoder(Normal(), Solver(nfe=2), seed=0), torch.tensor([0, 2])
    noise = torch.randn(2, 1, 4, 4, generator=generator("latent")).double().requires_grad_(True)
    direction = torch.randn(2, 1, 4, 4, generator=generator("direction")).double()
    (gradient,) = torch.autograd.grad(decode(noise, classes, 0).square().sum(), noise)
    step = 1e-5 * direction
    slope = (decode(noise + step, classes, 0).square().sum() - decode(noise - step, classes, 0).square().sum()) / 2e-5
    torch.testing.assert_close((gradient * direction).sum(), slope, rtol=1e-5, atol=1e-7)


def test_an_image_depends_on_its_noise_and_number_whatever_batch_it_is_in() -> None:
    decode, classes = decoder(Normal(), FEW, seed=1), torch.tensor([0, 1, 2])
    noise = torch.randn(3, 1, 4, 4, generator=generator("latent"))
    whole = decode(noise, classes, 6)
    torch.testing.assert_close(decode(noise[1:], classes[1:], 7), whole[1:])
    assert not torch.equal(decode(noise[1:], classes[1:], 6), whole[1:])
