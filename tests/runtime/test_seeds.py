"""Random numbers depend on their key alone."""

import torch

from diffdistill.runtime import seeds


def test_seeds_are_the_same_on_every_machine() -> None:
    assert seeds.derive_seed("noise", 0, 1) == seeds.derive_seed("noise", 0, 1)
    assert len({seeds.derive_seed("noise", seed, i) for seed in range(30) for i in range(30)}) == 900


def test_the_noise_of_an_image_does_not_depend_on_the_batch() -> None:
    whole = seeds.image_noise(3, 0, 12, (1, 8, 8))
    parts = torch.cat([seeds.image_noise(3, 0, 5, (1, 8, 8)), seeds.image_noise(3, 5, 7, (1, 8, 8))])
    assert torch.equal(whole, parts)
    assert not torch.equal(whole, seeds.image_noise(4, 0, 12, (1, 8, 8)))


def test_the_noise_is_standard_normal() -> None:
    noise = seeds.image_noise(0, 0, 500, (1, 16, 16)).double()
    assert abs(noise.mean()) < 0.01 and abs(noise.std() - 1) < 0.01
    pairs = noise.reshape(500, -1)
    assert torch.corrcoef(pairs).fill_diagonal_(0).abs().max() < 0.35  # streams of different images are unrelated
