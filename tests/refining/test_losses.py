"""Both losses against the published formulas, written out here class by class and sum by sum."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from diffdistill.classify.convnet import ConvNet
from diffdistill.refining import distribution_matching, gradient_matching, mmd
from diffdistill.runtime.seeds import generator

CLASSES, REAL, SYNTHETIC = 3, 5, 2


@pytest.fixture
def network() -> ConvNet:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        return ConvNet(CLASSES, 8, 1, width=6, depth=2)


def images(count: int, name: str) -> Tensor:
    return torch.randn(CLASSES, count, 1, 8, 8, generator=generator(name))


def test_distribution_matching_is_the_squared_distance_of_class_means(network: ConvNet) -> None:
    real, synthetic = images(REAL, "real"), images(SYNTHETIC, "synthetic")
    expected = 0.0
    for label in range(CLASSES):
        means = []
        for batch in (real[label], synthetic[label]):
            features = [network.features(one[None])[0].tolist() for one in batch]
            means.append([math.fsum(column) / len(features) for column in zip(*features, strict=True)])
        expected += math.fsum((a - b) ** 2 for a, b in zip(*means, strict=True))
    found = distribution_matching.loss(network, real, synthetic, torch.arange(CLASSES))
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_mmd_is_the_mean_of_kernels_over_all_pairs(network: ConvNet) -> None:
    real, synthetic = images(REAL, "real"), images(SYNTHETIC, "synthetic")
    expected = 0.0
    for label in range(CLASSES):
        a, b = ([network.features(one[None])[0].tolist() for one in batch[label]] for batch in (real, synthetic))

        def squared(x: list[float], y: list[float]) -> float:
            return math.fsum((one - other) ** 2 for one, other in zip(x, y, strict=True))

        scale = math.fsum(squared(x, y) for x in a for y in a) / len(a) ** 2

        def mean(one: list[list[float]], other: list[list[float]], scale: float = scale) -> float:
            kernels = [math.exp(-squared(x, y) / (c * scale)) for x in one for y in other for c in (0.25, 1, 4)]
            return math.fsum(kernels) / (len(one) * len(other))

        expected += mean(a, a) - 2 * mean(a, b) + mean(b, b)
    assert mmd.loss(network, real, synthetic, torch.arange(CLASSES)).item() == pytest.approx(expected, rel=1e-5)


def test_equal_means_are_no_equal_distributions(network: ConvNet) -> None:
    """What distribution_matching cannot tell apart, mmd can: features whose spread alone differs."""
    real = torch.randn(CLASSES, 64, 5, generator=generator("features"))
    real -= real.mean(dim=1, keepdim=True)
    narrow = real / 3
    assert distribution_matching.mean_distance(real, narrow).item() == pytest.approx(0, abs=1e-6)
    assert mmd.discrepancy(real, narrow).item() > 0.1 > abs(mmd.discrepancy(real, real.clone()).item())


@pytest.mark.parametrize("count", [1, 4])
def test_mmd_of_a_single_real_image_draws_the_set_to_it(network: ConvNet, count: int) -> None:
    real, synthetic = images(1, "real").expand(-1, count, -1, -1, -1), images(SYNTHETIC, "synthetic")
    synthetic.requires_grad_(True)
    before = mmd.loss(network, real, synthetic, torch.arange(CLASSES))
    before.backward()
    with torch.no_grad():
        after = mmd.loss(network, real, synthetic - 0.1 * synthetic.grad, torch.arange(CLASSES))
    assert 0 < after.item() < before.item()
    same = real[:, :1].clone().requires_grad_(True)
    equal = mmd.loss(network, real, same, torch.arange(CLASSES))
    equal.backward()
    assert equal.item() == pytest.approx(0, abs=1e-3) and torch.isfinite(same.grad).all()


def cosine_distance(real: Tensor, synthetic: Tensor) -> float:
    """The sum over a layer's outputs of 1 - cosine; both (out, …)."""
    total = 0.0
    for a, b in zip(real.reshape(len(real), -1).tolist(), synthetic.reshape(len(real), -1).tolist(), strict=True):
        product = math.fsum(x * y for x, y in zip(a, b, strict=True))
        total += 1 - product / (math.sqrt(math.fsum(x * x for x in a)) * math.sqrt(math.fsum(y * y for y in b)) + 1e-6)
    return total


def test_gradient_matching_is_the_sum_of_layers_cosine_distances(network: ConvNet) -> None:
    real, synthetic = images(REAL, "real"), images(SYNTHETIC, "synthetic")
    expected = 0.0
    for label in range(CLASSES):
        found = []
        for batch in (real[label], synthetic[label]):
            network.zero_grad()
            (-F.log_softmax(network(batch), 1)[:, label].mean()).backward()
            found.append({name: weight.grad.clone() for name, weight in network.named_parameters()})
        expected += sum(cosine_distance(found[0][name], found[1][name]) for name in found[0] if found[0][name].ndim > 1)
    loss = gradient_matching.loss(network, real, synthetic, torch.arange(CLASSES))
    assert loss.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("module", [distribution_matching, mmd, gradient_matching])
def test_a_set_like_the_real_one_has_no_distance_and_the_gradient_reaches_only_the_set(
    module: object, network: ConvNet
) -> None:
    real = images(REAL, "real")
    assert module.loss(network, real, real.clone(), torch.arange(CLASSES)).item() == pytest.approx(0, abs=2e-3)
    real.requires_grad_(True)
    synthetic = images(SYNTHETIC, "synthetic").requires_grad_(True)
    module.loss(network, real, synthetic, torch.arange(CLASSES)).backward()
    assert real.grad is None and synthetic.grad is not None and synthetic.grad.abs().sum() > 0


def test_the_gradient_of_the_matching_loss_is_its_slope(network: ConvNet) -> None:
    network = network.double()
    real, synthetic = images(REAL, "real").double(), images(SYNTHETIC, "synthetic").double().requires_grad_(True)
    for module in (distribution_matching, mmd, gradient_matching):

        def loss(x: Tensor, module: object = module) -> Tensor:
            return module.loss(network, real, x, torch.arange(CLASSES))

        direction = torch.randn(synthetic.shape, generator=generator("direction"), dtype=torch.float64)
        (gradient,) = torch.autograd.grad(loss(synthetic), synthetic)
        slope = (loss(synthetic + 1e-6 * direction) - loss(synthetic - 1e-6 * direction)) / 2e-6
        assert (gradient * direction).sum().item() == pytest.approx(slope.item(), rel=1e-4)
