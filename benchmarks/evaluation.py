"""A whole ConvNet evaluation, 20 epochs of 10,000 images of 32x32 in batches of 256, against the challenge's loop.

Both are shortened in the same proportion, to 4 of the 800 steps and a 200th of the 10,000 test images. Ours pays once
for compiling, so its whole length is extrapolated from the first run, with an empty cache, and from what 8 steps more
take.
"""

import multiprocessing
import os
import tempfile
import time
from multiprocessing.pool import Pool

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.measuring import CPU, PAIRS, Row, seconds
from diffdistill.classify import training
from diffdistill.classify.convnet import ConvNet
from diffdistill.config import Protocol
from diffdistill.data.augment import augment
from diffdistill.runtime import devices

STEPS, ALL_STEPS, BATCH = 4, 20 * 40, 256
TEST = 10_000 * STEPS // ALL_STEPS
MEAN, STD = (0.5,) * 3, (0.25,) * 3


def protocol(batch_size: int) -> Protocol:
    """The challenge's augmentation and optimiser, shortened."""
    return Protocol(steps=STEPS, batch_size=batch_size, mean=MEAN, std=STD)


def data(batch_size: int) -> tuple[Tensor, Tensor, torch.Generator]:
    random = torch.Generator().manual_seed(0)
    images = torch.randint(256, (STEPS * batch_size, 3, 32, 32), generator=random, dtype=torch.uint8)
    return images, torch.randint(100, (len(images),), generator=random), random


def reference(batch_size: int) -> float:
    """Seconds as the challenge's evaluate.py works: eager float32, one augmentation per batch."""
    images, labels, random = data(batch_size)
    families = protocol(batch_size).augment
    started = time.perf_counter()
    network = ConvNet(100, 32)
    sgd = torch.optim.SGD(network.parameters(), 0.01, 0.9, weight_decay=5e-4)
    normal = (images.float() / 255 - MEAN[0]) / STD[0]
    for first in range(0, len(normal), batch_size):
        x = augment(normal[first : first + batch_size], families, random)
        loss = F.cross_entropy(network(x), labels[first : first + batch_size])
        sgd.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        sgd.step()
    with torch.inference_mode():
        network(normal[:TEST]).argmax(1)
    return time.perf_counter() - started


def ours(batch_size: int, times: int, *, compile: bool) -> None:
    images, labels, _ = data(batch_size)
    block = protocol(batch_size)
    classifier = training.fit(
        images, labels, num_classes=100, protocol=block.changed(steps=times * STEPS),
        statistics=training.statistics(block, images), seed=0, device=CPU, progress="benchmark", compile=compile,
    )  # fmt: skip
    training.accuracy(classifier, images[: times * TEST], labels[: times * TEST])


def ratio(first: float, alone: Pool, batch_size: int, compile: bool) -> float:
    """first: seconds of our first run, compilation included."""
    theirs = alone.apply(reference, (batch_size,))
    one, three = (seconds(lambda times=times: ours(batch_size, times, compile=compile)) for times in (1, 3))  # type: ignore[misc]
    repeats = ALL_STEPS // STEPS
    return repeats * theirs / (first + (repeats - 1) * (three - one) / 2)


def rows(toy: bool = False) -> list[Row]:
    batch_size, pairs, compile = (8, 1, False) if toy else (BATCH, PAIRS, True)
    devices.set_up(torch.get_num_threads())
    claim = "ConvNet evaluation: 20 epochs of 10,000 images of 32x32, extrapolated from 1/200, including compile time"
    # the reference has its own process: the way that ours handles memory would help it too
    with tempfile.TemporaryDirectory() as cache, multiprocessing.get_context("spawn").Pool(1) as alone:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
        first = seconds(lambda: ours(batch_size, 1, compile=compile))
        alone.apply(reference, (batch_size,))
        ratios = [ratio(first, alone, batch_size, compile) for _ in range(pairs)]
    claim = f"tiny batches, not compiled; {claim}" if toy else claim
    return [Row(claim, "the challenge's loop: eager float32", 1.5, ratios)]
