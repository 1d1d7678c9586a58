"""Random numbers that depend on what they are for, and on nothing that ran before."""

import hashlib

import torch


def derive_seed(*key: int | str) -> int:
    """A 63-bit seed from a key such as ("noise", seed, iteration): equal keys give equal seeds on every machine."""
    digest = hashlib.sha256(repr(key).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def generator(*key: int | str) -> torch.Generator:
    """A CPU generator seeded from the key."""
    return torch.Generator().manual_seed(derive_seed(*key))


def image_noise(
    seed: int, first: int, count: int, shape: tuple[int, ...], *, purpose: str | int = "image"
) -> torch.Tensor:
    """Standard normal noise (count, *shape) float32 of images first .. first+count-1.

    The noise of image i depends on (purpose, seed, i) alone, so a batch size or a device never changes an image. It is
    drawn on the CPU, where the stream is the same on every machine.
    """
    return torch.stack(
        [torch.randn(shape, generator=generator(purpose, seed, index)) for index in range(first, first + count)]
    )
