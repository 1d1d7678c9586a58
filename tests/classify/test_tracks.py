"""The challenge's protocols by name train as its published evaluation does.

The reference follows the published code without any of ours: a network written with functional operations, SGD by its
equations, the recorded outputs of the published augmentation, and a rate that falls after epoch index Epoch // 2 + 1.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from diffdistill.classify import training
from diffdistill.classify.convnet import ConvNet
from diffdistill.config import Protocol, protocols
from diffdistill.data import augment

EPOCH = 8
"""The published code's number; it trains one epoch more."""
FAMILIES = ["flip", "scale", "rotate", "crop", "cutout", "flip", "brightness", "saturation", "contrast"]
"""One augmentation per step."""
LABELS = torch.tensor([0, 3, 9, 3, 1, 7])


CIFAR = {"kind": "cifar100", "path": "cifar-100-python.tar.gz", "validation_per_class": 5}


def preset(name: str | dict[str, Any], **more: Any) -> Protocol:
    experiment = {"evaluate": {"protocol": name}, "source": CIFAR, "select": {"per_class": 10}, **more}
    return Protocol.model_validate(protocols.with_named_protocol(experiment)["evaluate"]["protocol"])


def test_their_values() -> None:
    for name, epochs in (("track1", 1001), ("track2", 101)):
        assert preset(name) == Protocol(
            epochs=epochs, batch_size=256, learning_rate=0.01, momentum=0.9, weight_decay=5e-4, schedule="step",
            augment="color_crop_cutout_flip_scale_rotate", augment_mode="one", width=128, depth=3,
            mean=(0.5071, 0.4866, 0.4409), std=(0.2673, 0.2564, 0.2762),
        )  # fmt: skip
    assert preset("track2", source=CIFAR | {"kind": "tinyimagenet"}).mean == (0.485, 0.456, 0.406)
    assert preset("track2", source=CIFAR | {"kind": "folder"}).mean is None
    assert preset("track2", source=CIFAR | {"path": "cifar-10-python.tar.gz"}).mean is None
    assert preset("track2", source=CIFAR | {"pth": "x"}).mean is None  # refused where the source is read
    longer = preset("track2").changed(epochs=300, width=64)
    assert preset({"name": "track2", "epochs": 300, "width": 64}) == longer != preset("track2")
    assert preset({"name": "track2"}) == preset("track2")
    unchanged = {"evaluate": {"protocol": {"epochs": 3}}}
    assert protocols.with_named_protocol(unchanged) is unchanged and protocols.with_named_protocol(3) == 3
    with pytest.raises(ValueError, match="no protocol is called 'track3'; known: track1, track2"):
        preset("track3")
    for select in (None, {}, {"per_class": 50}):
        with pytest.raises(ValueError, match="track1 tests 10 images per class"):
            preset("track1", select=select)


@pytest.mark.parametrize(("name", "last"), [("track1", 501), ("track2", 51)])
def test_the_rate_falls_after_the_published_epoch(name: str, last: int) -> None:
    rates = [training.learning_rate_at(4 * epoch, preset(name), 1000) for epoch in (0, last, last + 1)]
    assert rates == pytest.approx([0.01, 0.01, 0.001])  # `if ep in lr_schedule` comes after the training of ep


FIRST = 5


@pytest.mark.parametrize("name", ["track1", "track2"])
def test_the_losses_are_the_published_evaluations(name: str, oracles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = {
        key.removeprefix("state."): value
        for key, value in load_file(oracles / "convnet_32.safetensors").items()
        if key.startswith("state.")
    }
    recorded = load_file(oracles / "dsa.safetensors")
    found = ours(preset(name).changed(epochs=EPOCH + 1), state, recorded, monkeypatch)
    expected = published(state, recorded)
    assert found[:FIRST] == pytest.approx(expected[:FIRST], rel=1e-5)
    assert found == pytest.approx(expected, rel=1e-3)  # training amplifies the order in which threads add up


def published(state: dict[str, Tensor], recorded: dict[str, Tensor]) -> list[float]:
    """The loss of each epoch, which is one batch."""
    weights = {key: value.clone().requires_grad_() for key, value in state.items()}
    velocity = {key: torch.zeros_like(value) for key, value in state.items()}
    rate, losses = 0.01, []
    for ep in range(EPOCH + 1):
        x = recorded[f"rand_{FAMILIES[ep]}.out"]
        for layer in (0, 4, 8):
            x = F.conv2d(x, weights[f"features.{layer}.weight"], weights[f"features.{layer}.bias"], padding=1)
            x = F.instance_norm(x, weight=weights[f"features.{layer + 1}.weight"],
                                bias=weights[f"features.{layer + 1}.bias"])  # fmt: skip
            x = F.avg_pool2d(x.relu(), 2)
        logits = x.flatten(1) @ weights["classifier.weight"].T + weights["classifier.bias"]
        loss = (logits.logsumexp(1) - logits[range(6), LABELS]).mean()
        losses.append(loss.item())
        gradients = torch.autograd.grad(loss, list(weights.values()))
        with torch.no_grad():
            for (key, weight), gradient in zip(weights.items(), gradients, strict=True):
                velocity[key] = 0.9 * velocity[key] + gradient + 0.0005 * weight
                weight -= rate * velocity[key]
        if ep == EPOCH // 2 + 1:
            rate, velocity = rate * 0.1, {key: torch.zeros_like(value) for key, value in velocity.items()}
    return losses


def ours(
    protocol: Protocol, state: dict[str, Tensor], recorded: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> list[float]:
    """`fit` from the recorded first weights and images, with the recorded draws."""
    losses: list[float] = []
    cross_entropy = F.cross_entropy

    def first_weights(*arguments: Any, **named: Any) -> ConvNet:
        network = ConvNet(*arguments, **named)
        network.load_state_dict(state)
        return network

    def augmented(x: Tensor, strategy: str, generator: torch.Generator, *, mode: str) -> Tensor:
        assert strategy == "color_crop_cutout_flip_scale_rotate" and mode == "one"
        family = FAMILIES[len(losses)]
        draws = [recorded[key][order] for key in sorted(recorded) if key.startswith(f"rand_{family}.draw")]
        changed: Tensor = getattr(augment, family)(x, *draws)
        return changed

    def measured(logits: Tensor, labels: Tensor) -> Tensor:
        loss = cross_entropy(logits, labels)
        losses.append(loss.item())
        return loss

    order = torch.empty(0, dtype=torch.int64)

    def normalised(self: training.Classifier, images: Tensor) -> Tensor:
        nonlocal order
        order = images[:, 0, 0, 0].long()  # an image stands for its row: the recorded ones are no bytes
        return recorded["x"][order]

    monkeypatch.setattr(training, "ConvNet", first_weights)
    monkeypatch.setattr(training, "augment", augmented)
    monkeypatch.setattr(training.Classifier, "normalise", normalised)
    monkeypatch.setattr(training.F, "cross_entropy", measured)
    rows = torch.arange(6, dtype=torch.uint8)[:, None, None, None].expand(6, 3, 32, 32).contiguous()
    training.fit(
        rows, LABELS, num_classes=10, protocol=protocol, statistics=([0.0] * 3, [1.0] * 3), seed=0, progress="test",
        device=torch.device("cpu"), compile=False,
    )  # fmt: skip
    return losses
