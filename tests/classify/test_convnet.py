"""The ConvNet's shapes; its numbers are compared with the published ones in test_published.py."""

import pytest
import torch

from diffdistill.classify.convnet import ConvNet


@pytest.mark.parametrize(("size", "depth", "features"), [(8, 3, 16), (28, 3, 16 * 9), (32, 2, 16 * 64)])
def test_features_are_what_the_last_layer_takes(size: int, depth: int, features: int) -> None:
    network = ConvNet(7, size, width=16, depth=depth)
    x = torch.zeros(2, 3, size, size)
    assert network.embed(x).shape == (2, features) and network(x).shape == (2, 7)


def test_its_arguments_build_it_again() -> None:
    network = ConvNet(3, 8, in_chans=1, width=4, depth=2)
    again = ConvNet(**network.arguments)
    again.load_state_dict(network.state_dict(), strict=True)


def test_images_that_cannot_be_halved_so_often_are_refused() -> None:
    with pytest.raises(ValueError, match="images of 4 pixels cannot be halved 3 times"):
        ConvNet(3, 4)
