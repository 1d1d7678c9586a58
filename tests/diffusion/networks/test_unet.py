"""The U-Net: its start, its conditions, every image size, and the sizes that it refuses."""

import pytest
import torch
from torch import Tensor

from diffdistill.config import UNetModel
from diffdistill.diffusion.networks import Sizes, build
from diffdistill.diffusion.networks.unet import Attention, ResidualBlock, UNet
from tests.diffusion.models import UNET, busy, denoiser


def inputs(side: int, channels: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    draws = torch.Generator().manual_seed(0)
    return torch.randn(4, channels, side, side, generator=draws), torch.linspace(0.1, 0.9, 4), torch.arange(4) % 3


@pytest.mark.parametrize("side", [7, 8, 16, 28, 32, 64])
def test_every_size(side: int) -> None:
    network = busy(UNetModel(kind="unet", channels=8, blocks=1), image_shape=(3, side, side))
    x, t, y = inputs(side, 3)
    with torch.no_grad():
        found = network(x, t, y)
    assert found.shape == x.shape and bool(torch.isfinite(found).all()) and float(found.std()) > 0.01


def test_patches_become_channels_and_images_again() -> None:
    """With the first and last convolution the identity and nothing between them, the image comes out as it went in."""
    network = UNet((1, 8, 8), 4, (1,), 1, 1, patch_size=2)
    for conv in (network.in_conv, network.out_conv):
        torch.nn.init.dirac_(conv.weight)
        torch.nn.init.zeros_(conv.bias)
    network.up = torch.nn.ModuleList([Last()])
    network.out_norm = torch.nn.Identity()  # type: ignore[assignment]
    x, t, _ = inputs(8)
    with torch.no_grad():
        assert torch.allclose(network(x, t), torch.nn.functional.silu(x))
    assert network.in_conv.weight.shape[1] == network.out_conv.weight.shape[0] == 4


class Last(torch.nn.Module):
    """In place of a block on the way up: the skip connection alone."""

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        return x.chunk(2, dim=1)[1]


@pytest.mark.parametrize(("patch_size", "words"), [(3, "not divided by patch_size 3"), (4, "2 patches cannot")])
def test_patches_that_do_not_fit(patch_size: int, words: str) -> None:
    model = UNetModel(kind="unet", channels=8, blocks=1, patch_size=patch_size)
    with pytest.raises(ValueError, match=words):
        build(model, Sizes(image_shape=(1, 8, 8), labels=3))


def test_a_new_network_gives_0_and_learns_from_all_of_its_last_layers() -> None:
    x, t, y = inputs(8)
    network = denoiser(UNET)
    found = network(x, t, y)
    assert not found.any()
    (found - 1).square().sum().backward()
    network_module = network.network
    assert isinstance(network_module, UNet) and network_module.out_conv.weight.grad is not None
    assert bool(network_module.out_conv.weight.grad.any())


def test_new_blocks_are_their_shortcut() -> None:
    x, condition = torch.randn(2, 8, 4, 4, generator=torch.Generator().manual_seed(0)), torch.ones(2, 5)
    assert torch.equal(ResidualBlock(8, 8, 5, num_heads=2)(x, condition), x)


def test_attention_is_its_formula() -> None:
    """softmax(q k^T / sqrt(d)) v over all positions, written with loops."""
    torch.manual_seed(0)
    layer, x = Attention(4, 2).double(), torch.randn(1, 4, 2, 3, dtype=torch.float64)
    torch.nn.init.normal_(layer.proj.weight)
    with torch.no_grad():
        qkv = layer.qkv(layer.norm(x))[0].flatten(1)  # (12, L)
        out = torch.zeros(4, 6, dtype=torch.float64)
        for head in range(2):
            query, key, value = (qkv[part * 4 + 2 * head : part * 4 + 2 * head + 2] for part in range(3))
            out[2 * head : 2 * head + 2] = value @ torch.softmax(query.T @ key / 2**0.5, dim=1).T
        expected = x + layer.proj(out.reshape(1, 4, 2, 3))
        assert torch.allclose(layer(x), expected)


def test_time_and_label_change_the_output_of_their_image_alone() -> None:
    network = busy(UNET)
    x, t, y = inputs(8)
    with torch.no_grad():
        plain = network(x, t, y)
        for changed in (
            network(x, t + torch.tensor([0.05, 0, 0, 0]), y),
            network(x, t, (y + torch.tensor([1, 0, 0, 0])) % 3),
        ):
            assert float((changed[0] - plain[0]).abs().max()) > 1e-4
            assert torch.allclose(changed[1:], plain[1:], atol=1e-6)


def test_channels_last_gives_the_same() -> None:
    network = busy(UNET)
    x, t, y = inputs(8)
    with torch.no_grad():
        plain = network(x, t, y)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        assert torch.allclose(network(x.to(memory_format=torch.channels_last), t, y), plain, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "model", "message"),
    [
        ((1, 2, 2), UNetModel(kind="unet", multipliers=(1, 2, 2)), "images of 2 pixels cannot be halved 2 times"),
        ((1, 8, 6), UNET, "images must be square, found 8 x 6"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(shape: tuple[int, int, int], model: UNetModel, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(model, Sizes(image_shape=shape, labels=3))


def test_heads_must_divide_the_lowest_channels() -> None:
    with pytest.raises(ValueError, match=r"the lowest level has 24 channels .* not a multiple of num_heads 5"):
        UNetModel(kind="unet", channels=8, multipliers=(1, 3), num_heads=5)


def test_inputs_that_do_not_fit_are_refused() -> None:
    network, (x, t, y) = denoiser(UNET), inputs(8)
    with pytest.raises(ValueError, match=r"\(B, 1, 8, 8\), found \(4, 1, 9, 9\)"):
        network(torch.zeros(4, 1, 9, 9), t, y)
    with pytest.raises(ValueError, match="labels must be given"):
        network(x, t)
