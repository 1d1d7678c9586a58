"""The iterations of refining: which network, which real images, which step.

Everything drawn in an iteration is keyed by (seed, iteration), so that a resumed run takes the steps of one that was
never stopped.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from diffdistill.classify.convnet import ConvNet
from diffdistill.config.refine import Refine
from diffdistill.data.augment import augment
from diffdistill.data.batches import batch_indices
from diffdistill.errors import UserError
from diffdistill.refining import distribution_matching, gradient_matching, mmd
from diffdistill.refining.parameters import Parametrisation
from diffdistill.refining.state import State
from diffdistill.runtime.seeds import derive_seed, generator

LOSSES = {
    "distribution_matching": distribution_matching.loss,
    "mmd": mmd.loss,
    "gradient_matching": gradient_matching.loss,
}
IMAGES_AT_ONCE = 2048
"""Real images that pass through a network together: memory stays flat in the number of classes."""


@dataclass(frozen=True)
class Real:
    """The real train split, normalised when it is used.

    images: uint8 (N, C, H, W); labels: int64 (N,), on one device; mean, std: (C, 1, 1) of images in 0..1.
    """

    images: Tensor
    labels: Tensor
    num_classes: int
    mean: Tensor
    std: Tensor

    @classmethod
    def of(
        cls, images: Tensor, labels: Tensor, num_classes: int, statistics: tuple[list[float], list[float]]
    ) -> "Real":
        mean, std = (torch.tensor(one, device=images.device).reshape(-1, 1, 1) for one in statistics)
        return cls(images, labels, num_classes, mean, std)

    @property
    def normalised_shape(self) -> tuple[int, int, int]:
        """(C, H, W): grey images get as many channels as the mean has."""
        channels, height, width = self.images.shape[1:]
        return max(channels, len(self.mean)), height, width

    def normalised(self, chosen: Tensor) -> Tensor:
        """Images with these indices, float32 (*chosen.shape, C, H, W)."""
        return (self.images[chosen].float() / 255 - self.mean) / self.std

    def members(self) -> list[Tensor]:
        """Indices of each class's images. Raises UserError if a class has none."""
        found = [(self.labels == label).nonzero().flatten() for label in range(self.num_classes)]
        empty = [label for label, one in enumerate(found) if not len(one)]
        if empty:
            raise UserError(f"class {empty[0]} has no real images to match")
        return found


@dataclass(frozen=True)
class Networks:
    """The ConvNets that real and synthetic images are compared by."""

    image_shape: tuple[int, int, int]
    num_classes: int
    width: int
    depth: int
    momentum: float
    weight_decay: float

    def initial(self, seed: int, number: int, device: torch.device) -> ConvNet:
        """Network number 0, 1, … of a run, with random weights that depend on (seed, number) alone."""
        channels, side, _ = self.image_shape
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed("refining network", seed, number))
            return ConvNet(self.num_classes, side, channels, self.width, self.depth).to(device)


def real_batch(members: Sequence[Tensor], size: int, iteration: int, seed: int) -> Tensor:
    """Indices int64 (K, size) of the iteration's real images; a class with fewer images gives some of them twice."""
    draws, rows = generator("refining real", seed, iteration), []
    for one in members:
        order = torch.randperm(len(one), generator=draws)
        rows.append(one[order.repeat(-(-size // len(one)))[:size]])
    return torch.stack(rows)


def siamese(x: Tensor, block: Refine, iteration: int, classes: Sequence[int]) -> Tensor:
    """Images (K, B, C, H, W) transformed class by class; the transform depends on iteration and class alone."""
    families, mode = block.augment or "", block.augment_mode or "one"
    made = [
        augment(
            one, families, generator("refining augment", block.seed, iteration, label),
            mode=mode, siamese=True,
        )
        for one, label in zip(x, classes, strict=True)
    ]  # fmt: skip
    return torch.stack(made)


def step(state: State, real: Real, members: Sequence[Tensor], parameters: Parametrisation, block: Refine) -> float:
    """One iteration's change of the set, in place; the loss.

    Raises UserError, before anything is changed, if the loss is not finite.
    """
    assert state.network is not None
    network = state.network.requires_grad_(block.method == "gradient_matching")
    chosen = real_batch(members, block.batch_real, state.iteration, block.seed)
    at_once = max(1, IMAGES_AT_ONCE // block.batch_real)
    state.optimiser.zero_grad(set_to_none=True)
    total = 0.0
    for first in range(0, real.num_classes, at_once):
        classes = range(first, min(first + at_once, real.num_classes))
        part = slice(classes.start, classes.stop)
        x = siamese(real.normalised(chosen[part]), block, state.iteration, classes)
        made = siamese((parameters.images(state.values, part) - real.mean) / real.std, block, state.iteration, classes)
        loss = LOSSES[block.method](network, x, made, torch.arange(classes.start, classes.stop))
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.item()
    if not torch.isfinite(torch.tensor(total)):
        raise UserError(f"the matching loss of iteration {state.iteration} is {total}; lower the learning rate")
    state.optimiser.param_groups[0]["lr"] = block.learning_rate_at(state.iteration)
    state.optimiser.step()
    with torch.no_grad():
        parameters.project(state.values)
    return total


def train_network(state: State, real: Real, block: Refine, networks: Networks) -> None:
    """Train the network for network_steps on real images, in place: plain SGD with momentum."""
    assert state.network is not None
    network = state.network.requires_grad_(True)
    for number in range(block.network_steps):
        key = state.iteration * block.network_steps + number
        chosen = batch_indices(len(real.labels), block.network_batch, key, derive_seed("refining train", block.seed))
        draws = generator("refining train augment", block.seed, key)
        x = augment(real.normalised(chosen), block.augment or "", draws, mode=block.augment_mode or "one")
        loss = F.cross_entropy(network(x), real.labels[chosen])
        grads = torch.autograd.grad(loss, list(network.parameters()))
        with torch.no_grad():
            for (name, weight), grad in zip(network.named_parameters(), grads, strict=True):
                moving = state.network_momentum.setdefault(name, torch.zeros_like(weight))
                moving.mul_(networks.momentum).add_(grad + networks.weight_decay * weight)
                weight.sub_(block.network_learning_rate * moving)


def run(
    state: State,
    real: Real,
    parameters: Parametrisation,
    block: Refine,
    networks: Networks,
    *,
    until: int,
    stop_signal: Callable[[], int] = lambda: 0,
    after_iteration: Callable[[State, float], None] = lambda state, loss: None,
) -> int:
    """Refine from state.iteration to `until`, in place.

    after_iteration: called with the state and the iteration's loss. stop_signal: asked before every iteration; anything
    but 0 ends the run, and is returned.
    """
    members, device = real.members(), real.images.device
    while state.iteration < until:
        if signal := stop_signal():
            return signal
        life, age = divmod(state.iteration, block.network_iterations)
        if age == 0:
            state.network, state.network_momentum = networks.initial(block.seed, life, device), {}
        loss = step(state, real, members, parameters, block)
        if block.network_steps and age + 1 < block.network_iterations:
            train_network(state, real, block, networks)
        state.iteration += 1
        after_iteration(state, loss)
    return 0
