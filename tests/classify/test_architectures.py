"""Other networks follow the same protocol; soft labels are hard ones where they are certain."""

import pytest
import torch

from diffdistill.classify import architectures, training
from diffdistill.config import Protocol
from tests.classify.test_training import IMAGES, SHORT, TARGETS

ARCHITECTURES = ("resnet18", "vit_tiny", "mobilenet")
TINY = SHORT.changed(steps=2, batch_size=16, width=8)


def fit(protocol: Protocol, labels: torch.Tensor, architecture: str = "convnet") -> training.Classifier:
    return training.fit(
        IMAGES[: len(labels)], labels, num_classes=10, protocol=protocol, statistics=([0.0], [0.37]), seed=3,
        device=torch.device("cpu"), progress="test", architecture=architecture,
    )  # fmt: skip


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("size", [8, 28])
def test_small_images_of_any_size_fit(architecture: str, size: int) -> None:
    network = architectures.build(architecture, 7, size).eval()
    with torch.inference_mode():
        assert network(torch.zeros(2, 3, size, size)).shape == (2, 7)


def test_the_sizes_are_the_published_ones() -> None:
    millions = [
        sum(parameter.numel() for parameter in architectures.build(architecture, 10, 32).parameters()) / 1e6
        for architecture in ARCHITECTURES
    ]
    assert millions == pytest.approx([11.17, 5.36, 2.24], abs=0.01)
    with pytest.raises(ValueError, match="unknown architecture 'vgg'"):
        architectures.build("vgg", 10, 32)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_seed_decides_every_bit_and_a_batch_of_one_image_is_no_obstacle(architecture: str) -> None:
    protocol = TINY.changed(steps=None, epochs=1)
    one, again = (fit(protocol, TARGETS[:17], architecture) for _ in range(2))  # 16 images, then one
    for name, value in one.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]) and value.isfinite().all()


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "least"), [("resnet18", 0.8), ("mobilenet", 0.35)])
def test_architectures_learn(architecture: str, least: float) -> None:
    classifier = fit(SHORT.changed(steps=60, batch_size=64), TARGETS[:1000], architecture)
    assert training.accuracy(classifier, IMAGES[1000:], TARGETS[1000:]) > least


def test_certain_soft_labels_train_as_hard_ones_do_and_uncertain_ones_do_not() -> None:
    hard, certain = TARGETS[:200], torch.eye(10)[TARGETS[:200]]
    expected, same = fit(TINY, hard), fit(TINY, certain)
    other = fit(TINY, torch.full((200, 10), 0.1))
    for name, value in expected.network.state_dict().items():
        torch.testing.assert_close(same.network.state_dict()[name], value)
    assert not torch.allclose(other.network.classifier.weight, expected.network.classifier.weight)
