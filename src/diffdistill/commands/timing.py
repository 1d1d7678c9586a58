"""How long a training step of a denoiser and of the ConvNet takes on this machine, and what memory it needs."""

import itertools
import os
import shutil
import statistics
import time

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from diffdistill.classify import training as classifier_training
from diffdistill.config import ModelBlock, Protocol, Recipe
from diffdistill.diffusion import training
from diffdistill.diffusion.denoiser import NetworkDenoiser
from diffdistill.diffusion.labels import LabelSpace
from diffdistill.runtime import devices

BYTES_PER_PARAMETER = 24
"""Weights, gradients, two moments and one EMA in float32, and a copy while a state is written."""
MEMORY_SHARE = 0.5
"""Of the free memory, left for the batch: libraries, images and other programs take some."""

UNTIMED = 2
"""Steps at first that also load libraries."""

Shape = tuple[int, int, int]


def build(model: ModelBlock, shape: Shape, classes: int) -> NetworkDenoiser:
    """A denoiser for images (C, H, W), newly initialised. Raises ValueError if model and images do not fit."""
    return training.initialise(
        lambda: NetworkDenoiser(model, labels=LabelSpace(num_classes=classes), image_shape=shape), 0
    )


def operations(model: ModelBlock, shape: Shape, classes: int) -> int:
    """Floating-point operations of one evaluation for one image; nothing is computed."""
    with torch.device("meta"):
        denoiser = NetworkDenoiser(model, labels=LabelSpace(num_classes=classes), image_shape=shape)
        arguments = torch.empty(1, *shape), torch.empty(1), torch.empty(1, dtype=torch.int64)
        with FlopCounterMode(display=False) as counter:
            denoiser(*arguments)
    return int(counter.get_total_flops())


def compiles(device: torch.device) -> bool:
    """Whether this is a CPU of the kind that compiled training was measured on, with a C++ compiler."""
    known = "avx2" in devices.processor_instructions()
    return device.type == "cpu" and known and any(map(shutil.which, ("c++", "g++", "clang++")))


def largest_batch(denoiser: NetworkDenoiser, wanted: int, device: torch.device) -> int:
    """The largest of wanted, wanted / 2, … whose training step fits into the free memory of the device; at least 1."""
    held: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    shape = denoiser.image_shape
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = denoiser(torch.zeros(2, *shape), torch.full((2,), 0.5), torch.zeros(2, dtype=torch.int64))
    weights = sum(parameter.numel() for parameter in denoiser.parameters())
    del output
    each = max(1, (sum(held.values()) - 4 * weights) // 2)
    free = MEMORY_SHARE * free_memory(device) - BYTES_PER_PARAMETER * weights
    batch = wanted
    while batch > 1 and batch * each > free:
        batch //= 2
    return batch


def free_memory(device: torch.device) -> int:
    """Bytes that a job on the device can take now."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):  # macOS does not say what is free
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def denoiser_step(denoiser: NetworkDenoiser, recipe: Recipe, device: torch.device, *, seconds: float = 3.0) -> float:
    """Seconds of one training step with a batch of recipe.batch_size noise images, measured for about `seconds`.

    The network is not compiled, which would take longer than the measurement: on a GPU training is faster than this.
    """
    shape, random = denoiser.image_shape, torch.Generator().manual_seed(0)
    count = recipe.batch_size
    images = torch.randint(0, 256, (count, *shape), generator=random, dtype=torch.uint8)
    labels = torch.zeros(count, dtype=torch.int64)
    execution = training.Execution(precision=devices.precision(recipe.precision, device))
    state = training.State.start(denoiser.to(device), recipe)
    clock = _Clock(device, seconds)
    training.train(
        state, images.to(device), labels.to(device), recipe, until=recipe.iterations, execution=execution,
        stop_signal=clock.finished, after_iteration=lambda state: clock.tick(),
    )  # fmt: skip
    return clock.step


def convnet_step(
    protocol: Protocol, shape: Shape, classes: int, device: torch.device, *, seconds: float = 2.0
) -> float:
    """Seconds of one training step of the ConvNet that a protocol describes, measured for about `seconds`."""
    random = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (protocol.batch_size, *shape), generator=random, dtype=torch.uint8)
    labels = torch.arange(protocol.batch_size) % classes

    def fit(steps: int) -> float:
        begun = time.perf_counter()
        classifier_training.fit(
            images, labels, num_classes=classes, protocol=protocol.changed(epochs=None, steps=steps),
            statistics=([0.5], [0.25]), seed=0, device=device, progress="timing the ConvNet", compile=False,
        )  # fmt: skip
        devices.synchronise(device)
        return time.perf_counter() - begun

    fit(2)  # the first steps also load libraries
    some = 4
    taken = fit(some)
    if taken < seconds / 3:
        some = max(some, int(some * seconds / 2 / taken))
        taken = fit(some)
    return taken / some


class _Clock:
    """Times iterations after the first ones, which also load libraries."""

    def __init__(self, device: torch.device, seconds: float) -> None:
        self._device, self._seconds = device, seconds
        self._ends: list[float] = []

    def tick(self) -> None:
        devices.synchronise(self._device)
        self._ends.append(time.perf_counter())

    def finished(self) -> int:
        """1 as soon as there are five steps of that many seconds, or three steps of three times as many."""
        steps = len(self._ends) - UNTIMED
        if steps < 3:
            return 0
        taken = self._ends[-1] - self._ends[UNTIMED - 1]
        return int(taken >= (self._seconds if steps >= 5 else 3 * self._seconds))

    @property
    def step(self) -> float:
        """The median, so that another program's moment of work does not count."""
        return statistics.median(b - a for a, b in itertools.pairwise(self._ends[UNTIMED - 1 :]))
