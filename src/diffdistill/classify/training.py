"""Training a ConvNet on a set of labelled images, and testing it, by one protocol for generated and real images."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from diffdistill.classify import architectures
from diffdistill.classify.convnet import ConvNet
from diffdistill.config import Protocol
from diffdistill.data.augment import augment
from diffdistill.data.batches import batch_indices
from diffdistill.errors import UserError
from diffdistill.runtime import optimisers, tensor_files
from diffdistill.runtime.compiling import Fallback
from diffdistill.runtime.progress import Bar
from diffdistill.runtime.seeds import derive_seed, generator

COMPILE_PAYS = {"cpu": 1.5e13, "cuda": 3e15}
"""Floating-point operations of a whole training from which compiling is worth its half minute: about five minutes'."""

FEW_BATCHES = 8
"""In epochs of at most so many batches the last, smaller one is compiled for too."""

AT_ONCE = 1024
"""Images whose levels are counted together."""

Statistics = tuple[list[float], list[float]]
"""Mean and standard deviation of each channel of images in 0..1."""


class Classifier(nn.Module):
    """A network with its normalisation inside: takes uint8 images (B, C, H, W), grey ones widened to three channels."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, statistics: Statistics) -> None:
        super().__init__()
        self.network = network
        for name, values in zip(("mean", "std"), statistics, strict=True):
            self.register_buffer(name, torch.tensor(values).reshape(-1, 1, 1))

    def normalise(self, images: Tensor) -> Tensor:
        """uint8 (B, C, H, W) -> float32 (B, 3, H, W) of mean 0 and standard deviation 1 per channel."""
        x = (images.float() / 255 - self.mean) / self.std
        return x.expand(-1, 3, -1, -1)

    def features(self, images: Tensor) -> Tensor:
        """uint8 (B, C, H, W) -> the penultimate layer (B, F) of a ConvNet."""
        return self._convnet().embed(self.normalise(images))

    def head(self, features: Tensor) -> Tensor:
        """Features (B, F) of a ConvNet -> logits (B, K)."""
        return self._convnet().classifier(features)  # type: ignore[no-any-return]

    def _convnet(self) -> ConvNet:
        if not isinstance(self.network, ConvNet):
            raise ValueError(f"a {type(self.network).__name__} gives no features here; a ConvNet does")
        return self.network

    def forward(self, images: Tensor) -> Tensor:
        """uint8 (B, C, H, W) -> logits (B, K)."""
        return self.network(self.normalise(images))  # type: ignore[no-any-return]

    def to_file(self, path: Path | str, classes: list[str], metadata: Mapping[str, str] = MappingProxyType({})) -> None:
        """A ConvNet as one safetensors file; metadata: how it was made. Raises ValueError for another network."""
        own = {"classes": json.dumps(classes), "convnet": json.dumps(self._convnet().arguments)}
        tensor_files.save(path, self.state_dict(), {**metadata, **own})

    @classmethod
    def from_file(cls, path: Path | str) -> "Classifier":
        """In evaluation mode. Raises UserError if the file does not hold one."""
        tensors, metadata = tensor_files.load(path)
        try:
            statistics = tensors["mean"].flatten().tolist(), tensors["std"].flatten().tolist()
            classifier = cls(ConvNet(**json.loads(metadata["convnet"])), statistics)
            classifier.load_state_dict(tensors, strict=True)
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise UserError(f"{path}: not a classifier of this workflow ({error}); delete it and run again") from error
        return classifier.eval()


def statistics(protocol: Protocol, images: Tensor) -> Statistics:
    """The protocol's constants, or else mean and spread of these images uint8 (N, C, H, W), per channel, in 0..1."""
    if protocol.mean is not None and protocol.std is not None:
        return list(protocol.mean), list(protocol.std)
    counts = [_histogram(images[:, channel]).double() for channel in range(images.shape[1])]
    levels = torch.arange(256, dtype=torch.float64) / 255
    means = [float((count * levels).sum() / count.sum()) for count in counts]
    variances = [
        float((count * (levels - mean) ** 2).sum() / count.sum()) for count, mean in zip(counts, means, strict=True)
    ]
    return means, [max(variance, 1e-12) ** 0.5 for variance in variances]


def _histogram(images: Tensor) -> Tensor:
    """How often each level occurs in uint8 (N, H, W): int64 (256,); in blocks, as bincount needs wider integers."""
    found = torch.zeros(256, dtype=torch.int64, device=images.device)
    for first in range(0, len(images), AT_ONCE):
        found += torch.bincount(images[first : first + AT_ONCE].flatten().int(), minlength=256)
    return found


def total_steps(protocol: Protocol, images: int) -> int:
    """Optimisation steps of the whole training; of a number of epochs, the last, smaller batch of each counts."""
    return protocol.steps or (protocol.epochs or 0) * math.ceil(images / protocol.batch_size)


def epochs(protocol: Protocol, images: int) -> float:
    """How often every image is seen."""
    return protocol.epochs or total_steps(protocol, images) * protocol.batch_size / images


def compiled_sizes(protocol: Protocol, images: int) -> set[int]:
    """Sizes of batches that are worth compiling for, each of which takes half a minute: those of many steps."""
    if protocol.steps:
        return {protocol.batch_size}
    whole_batches, last = divmod(images, protocol.batch_size)
    sizes = {protocol.batch_size} if whole_batches else set()
    if last and whole_batches < FEW_BATCHES:
        sizes.add(last)
    return sizes


def chosen_at(step: int, protocol: Protocol, images: int, seed: int) -> Tensor:
    """Indices int64 of the images of a step."""
    if protocol.steps:
        return batch_indices(images, protocol.batch_size, step, seed)
    epoch, batch = divmod(step, math.ceil(images / protocol.batch_size))
    order = batch_indices(images, images, epoch, seed)
    return order[batch * protocol.batch_size : (batch + 1) * protocol.batch_size]


def drop_step(protocol: Protocol, images: int) -> int:
    """schedule `step`: the first step after epoch index E // 2 + 1, where the rate falls and a new optimiser starts.

    E + 1 is the number of epochs: the challenge's code trains range(E + 1) of them, and lowers the rate behind one.
    """
    batches = math.ceil(images / protocol.batch_size)
    return ((math.ceil(epochs(protocol, images)) - 1) // 2 + 2) * batches


def learning_rate_at(step: int, protocol: Protocol, images: int) -> float:
    """`step`: tenfold lower from drop_step on. `onecycle`: up for 30 % of the steps, then a half cosine to 0."""
    if protocol.schedule == "step":
        return protocol.learning_rate * (0.1 if step >= drop_step(protocol, images) else 1.0)
    done = (step + 1) / total_steps(protocol, images)
    if done < 0.3:
        return protocol.learning_rate * done / 0.3
    return protocol.learning_rate * 0.5 * (1 + math.cos(math.pi * (done - 0.3) / 0.7))


def operations(protocol: Protocol, images: int, side: int) -> float:
    """Floating-point operations of the convolutions in a whole training: each image forward, and twice that back."""
    sides = [side >> block for block in range(protocol.depth)]
    channels = [3] + [protocol.width] * protocol.depth
    image = sum(2 * 9 * side**2 * channels[block] * channels[block + 1] for block, side in enumerate(sides))
    return 3.0 * image * total_steps(protocol, images) * min(protocol.batch_size, images)


def fit(
    images: Tensor,
    labels: Tensor,
    *,
    num_classes: int,
    protocol: Protocol,
    statistics: Statistics,
    seed: int,
    device: torch.device,
    progress: str,
    architecture: str = "convnet",
    compile: bool | None = None,
) -> Classifier:
    """Train on images uint8 (N, C, H, W); the last step's network, in evaluation mode.

    labels: int64 (N,), or the probability of each class, float32 (N, K). architecture: see `architectures`.
    compile: whether torch.compile makes the network's steps faster; None: where the training is long enough to pay for
    it, which the protocol and the number of images decide, never a clock: a seed gives one classifier.

    First weights, order and augmentation follow from the seed. A length in epochs ends each epoch with a smaller batch,
    as the challenge does; a length in steps has equal batches, which run on into the next epoch: a last batch of a
    single image would be a step at full rate on one image's gradient. Raises UserError if the loss is not finite.
    """
    convnet, side = architecture == "convnet", images.shape[-1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(architecture, seed))
        if convnet:
            network: nn.Module = ConvNet(num_classes, side, width=protocol.width, depth=protocol.depth)
        else:
            network = architectures.build(architecture, num_classes, side)
        classifier = Classifier(network, statistics)
    classifier = classifier.to(device)
    images, labels = images.to(device), labels.to(device)
    if compile is None:
        compile = operations(protocol, len(images), images.shape[-1]) >= COMPILE_PAYS.get(device.type, math.inf)
        compile = compile and convnet  # whose operations these are
    compiled: Callable[[Tensor], Tensor] = network
    if compile:
        compiled = Fallback(torch.compile(network, dynamic=False), network)

    def optimiser() -> optimisers.SGD:
        return optimisers.SGD(
            classifier.parameters(), protocol.learning_rate, protocol.momentum, weight_decay=protocol.weight_decay
        )

    sgd, count = optimiser(), len(images)
    sizes = compiled_sizes(protocol, count)
    for step in Bar(range(total_steps(protocol, count)), desc=progress, unit="step", disable=None):
        if protocol.schedule == "step" and step == drop_step(protocol, count):
            sgd = optimiser()  # the challenge starts a new one here: momentum is lost
        chosen = chosen_at(step, protocol, count, seed).to(device)
        if len(chosen) == 1 and not convnet:
            chosen = chosen.repeat(2)  # batch norm has no variance of one image: take it twice, augmented apart
        x = classifier.normalise(images[chosen])
        x = augment(x, protocol.augment, generator("augment", seed, step), mode=protocol.augment_mode)
        with torch.autocast(device.type, torch.bfloat16, enabled=protocol.precision == "bfloat16"):
            logits = compiled(x) if len(x) in sizes else network(x)
        loss = F.cross_entropy(logits.float(), labels[chosen])
        if not torch.isfinite(loss):
            raise UserError(f"{progress}: the loss of step {step} is {loss.item()}; lower the protocol's learning rate")
        for group in sgd.param_groups:
            group["lr"] = learning_rate_at(step, protocol, count)
        sgd.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        sgd.step()
    return classifier.eval()


@torch.inference_mode()
def logits(classifier: nn.Module, images: Tensor, batch_size: int = 500) -> Tensor:
    """(N, K) on the CPU, of images uint8 (N, C, H, W)."""
    device, starts = next(classifier.parameters()).device, range(0, len(images), batch_size)
    parts = [classifier(images[first : first + batch_size].to(device)).cpu() for first in starts]
    return torch.cat(parts) if parts else torch.empty(0, 1)


def accuracy(classifier: Classifier, images: Tensor, labels: Tensor, batch_size: int = 500) -> float:
    """Share of images uint8 (N, C, H, W) whose label int64 (N,) has the highest logit, 0..1."""
    return int((logits(classifier, images, batch_size).argmax(1) == labels).sum()) / len(images)


def class_accuracies(classifier: Classifier, images: Tensor, labels: Tensor, num_classes: int) -> list[float]:
    """The share of right ones among the images of each class, 0..1; of the classes that have images."""
    right = labels[logits(classifier, images).argmax(1) == labels].bincount(minlength=num_classes)
    counts = labels.bincount(minlength=num_classes)
    present = counts > 0
    return (right[present].double() / counts[present]).tolist()
