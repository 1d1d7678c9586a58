"""What each family of the non-leaking augmentation does, and what it tells the network."""

import pytest
import torch
from torch import Tensor

from diffdistill.diffusion import augmentation
from tests.diffusion.models import IMAGES, LABELS, MODELS, busy


def augmented(families: list[str], column: float, what: list[float], probability: float = 0.5) -> tuple[Tensor, Tensor]:
    x = torch.linspace(-1, 1, 64).reshape(1, 1, 8, 8)
    return augmentation.of_images(x, families, torch.tensor([[column, *what]]), probability)


def test_an_image_that_no_family_acts_on_is_as_it_was() -> None:
    families = list(augmentation.NUMBERS)
    x = torch.linspace(-1, 1, 128).reshape(2, 1, 8, 8)
    uniform = torch.full((2, augmentation.draws(families)), 0.9)
    found, done = augmentation.of_images(x, families, uniform, 0.15)
    assert torch.allclose(found, x, atol=1e-6) and torch.equal(done, torch.zeros(2, 6))


def test_what_was_done_is_said() -> None:
    x = torch.linspace(-1, 1, 64).reshape(1, 1, 8, 8)
    found, done = augmented(["flip"], 0.1, [0.5])
    assert torch.allclose(found, x.flip(3)) and done.tolist() == [[1]]
    found, done = augmented(["crop"], 0.1, [0.99, 0.4])  # an eighth of 8 pixels: by one, and by none
    assert done.tolist() == [[1, 0]]
    assert torch.allclose(found[..., :-1, :], x[..., 1:, :], atol=1e-6) and bool((found[..., -1, :] == -1).all())
    found, done = augmented(["rotate"], 0.1, [0.5])
    assert torch.allclose(found, x, atol=1e-5) and done.tolist() == [[0]]
    found, done = augmented(["scale"], 0.1, [0.5, 1.0])
    assert done[0].tolist() == pytest.approx([0, 1]) and not torch.allclose(found, x, atol=0.01)
    assert torch.allclose(augmented(["scale"], 0.1, [0.5, 0.5])[0], x, atol=1e-5)


def test_each_family_acts_so_often() -> None:
    families = ["flip", "rotate"]
    uniform = torch.rand(20_000, augmentation.draws(families), generator=torch.Generator().manual_seed(0))
    _, done = augmentation.of_images(torch.zeros(20_000, 1, 8, 8), families, uniform, 0.15)
    assert (done != 0).float().mean(0).tolist() == pytest.approx([0.15, 0.15], abs=0.01)
    assert float(((done[:, 0] != 0) & (done[:, 1] != 0)).float().mean()) == pytest.approx(0.15**2, abs=0.005)


@pytest.mark.parametrize("kind", MODELS)
def test_no_augmentation_is_the_same_as_zeros(kind: str) -> None:
    network = busy(MODELS[kind], augment_dim=2)
    x, t, y = IMAGES[:4], torch.full((4,), 0.3), LABELS[:4]
    with torch.no_grad():
        assert torch.equal(network(x, t, y), network(x, t, y, torch.zeros(4, 2)))
        assert not torch.equal(network(x, t, y), network(x, t, y, torch.ones(4, 2)))
