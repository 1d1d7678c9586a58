"""Prints a table of ratios: ours against a reference, run in turn in one process, median and spread of five pairs.

python -m benchmarks.ratios
"""

import statistics
import time
from collections.abc import Callable

import numpy as np
import scipy.linalg
import torch

from diffdistill.diffusion import sampling, training, weights
from diffdistill.metrics.frechet import frechet_distance
from diffdistill.runtime import device as devices

PAIRS = 5
PUBLISHED = {
    "algorithm": "dpmsolver", "method": "singlestep", "order": 3, "steps": 50, "spacing": "logsnr", "t_end": 1e-4,
}  # fmt: skip
FEW = {
    "algorithm": "dpmsolver++", "method": "multistep", "order": 3, "steps": 10, "spacing": "logsnr", "t_end": 1e-3,
}  # fmt: skip


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def ratios(reference: Callable[[], object], ours: Callable[[], object]) -> list[float]:
    """Reference time divided by ours, pair by pair, after one unmeasured run of each."""
    reference(), ours()
    return [seconds(reference) / seconds(ours) for _ in range(PAIRS)]


def sampling_speed() -> list[float]:
    """U-ViT width 128, depth 4, patch 2 on 8x8 grey images: the published recipe against ten evaluations."""
    shape = weights.Shape(8, 1, 10, 2, 128, 4, 4, 4.0)
    network = training.initialise(shape.build, 0).eval()

    def draw(solver: dict[str, object], batch: int, images: int = 200) -> None:
        for first in range(0, images, batch):
            count = min(batch, images - first)
            sampling.draw(network, shape, solver, seed=0, first=first, count=count, device=torch.device("cpu"))

    return ratios(lambda: draw(PUBLISHED, 1000), lambda: draw(FEW, 50))


def frechet_speed(features: int = 1024) -> list[float]:
    """Distance by eigenvalues against scipy's matrix root."""
    random = np.random.default_rng(0)
    a, b = (np.cov(random.normal(size=(2 * features, features)), rowvar=False) for _ in range(2))
    zero = np.zeros(features)

    def root() -> float:
        return float(np.trace(a + b - 2 * scipy.linalg.sqrtm(a @ b).real))

    assert abs(root() - frechet_distance(zero, a, zero, b)) < 1e-6 * root()
    return ratios(root, lambda: frechet_distance(zero, a, zero, b))


def main() -> None:
    rows = (
        (
            "images a second, U-ViT width 128, patch 2",
            "singlestep DPM-Solver, 50 evaluations",
            sampling_speed,
        ),
        ("Fréchet distance, 1024 features", "scipy.linalg.sqrtm", frechet_speed),
    )
    print("| work | reference | ratio: median (least to most) |\n|---|---|---|")
    for work, reference, measure in rows:
        found = measure()
        print(f"| {work} | {reference} | {statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f}) |")
    print()
    print(", ".join(f"{name} {value}" for name, value in devices.describe(devices.best_device()).items()))


if __name__ == "__main__":
    main()
