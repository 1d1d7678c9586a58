"""Mode guidance with images and features that can be computed by hand."""

import numpy as np
import pytest
import torch
from torch import Tensor

from diffdistill.config import Solver
from diffdistill.data import image_files
from diffdistill.generators.diffusion import DiffusionGenerator
from diffdistill.generators.modes import ModeGuidance, ModeGuided, centres
from diffdistill.runtime.seeds import generator
from tests.generators.test_latent import Normal


def brightness(x: Tensor) -> Tensor:
    """Mean of the left and of the right half: (B, 2)"""
    return torch.stack([x[..., :2].mean((1, 2, 3)), x[..., 2:].mean((1, 2, 3))], 1)


def test_centres_are_the_means_of_groups_the_largest_first() -> None:
    groups = [np.full((count, 2), value) for count, value in ((3, 0.0), (7, 5.0), (2, -5.0))]
    found = centres(np.concatenate(groups).astype(np.float32), 3, seed=0)
    np.testing.assert_allclose(found, [[5, 5], [0, 0], [-5, -5]], atol=1e-5)
    with pytest.raises(ValueError):
        centres(np.zeros((2, 2), dtype=np.float32), 3, seed=0)


def test_a_seed_beyond_32_bits_is_taken() -> None:
    assert centres(np.eye(4, dtype=np.float32), 2, seed=2**32).shape == (2, 4)


def test_half_a_step_of_a_squared_distance_is_half_of_it_away() -> None:
    """Polyak's step of d = |f - m|^2 with orthogonal f halves f - m at weight 1, for g = 2 (f - m) f'."""
    denoiser, t, y = Normal(), torch.full((2,), 0.3), torch.tensor([0, 2])
    x = torch.randn(2, 1, 4, 4, generator=generator("modes"))
    modes = torch.tensor([[0.4, -0.2], [0.1, 0.3]])
    alpha, sigma = float(denoiser.schedule.alpha(t)[0]), float(denoiser.schedule.sigma(t)[0])
    plain = ((x - sigma * denoiser.predict_noise(x, t, y)) / alpha).clamp(-1, 1)
    for weight, left in ((1.0, 0.5), (0.5, 0.75), (0.0, 1.0)):
        guided = ModeGuided(denoiser, brightness, modes, weight, (0.0, 1.0)).predict_noise(x, t, y)
        moved = (x - sigma * guided) / alpha
        torch.testing.assert_close(brightness(moved) - modes, left * (brightness(plain) - modes), atol=1e-4, rtol=1e-4)


def test_times_outside_the_interval_are_not_guided() -> None:
    denoiser, y = Normal(), torch.tensor([1])
    x, modes = torch.randn(1, 1, 4, 4, generator=generator("modes")), torch.ones(1, 2)
    guided = ModeGuided(denoiser, brightness, modes, 0.5, (0.2, 0.4))
    for time, changed in ((0.1, False), (0.3, True), (0.9, False)):
        t = torch.tensor([time])
        assert torch.equal(guided.predict_noise(x, t, y), denoiser.predict_noise(x, t, y)) != changed


def test_images_of_a_class_take_its_modes_in_turn_and_depend_on_their_number_alone() -> None:
    modes = torch.tensor([[[-0.8, 0.8], [0.8, -0.8]]]).repeat(3, 1, 1)
    guidance = ModeGuidance(brightness, modes, weight=0.9, interval=(0.0, 1.0))
    made = DiffusionGenerator(Normal(), Solver(nfe=6), seed=1, guide=guidance, about=guidance.describe())
    labels = torch.arange(12) % 3
    images = made.generate(0, labels)
    left, right = brightness(image_files.from_bytes(images)).unbind(1)
    first = torch.arange(12) // 3 % 2 == 0
    assert (left[first] < right[first]).all() and (left[~first] > right[~first]).all()
    parts = torch.cat([made.generate(0, labels[:5]), made.generate(5, labels[5:])])
    assert (parts.int() - images.int()).abs().max() <= 1
    assert made.image_shape == (1, 4, 4) and made.num_classes == 3 and made.describe(1)["modes"] == 2
    assert made.nfe == 6
