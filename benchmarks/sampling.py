"""Images per second within a budget of ten minutes, against the sampler that the U-ViT's authors publish.

The reference: singlestep DPM-Solver of order 3 with 50 evaluations, float32, eager, torch's fused attention. All of its
evaluations cost the same, so five are run and counted tenfold. Ours: DPM-Solver++ of order 2 with 8 evaluations, which
is more accurate than the reference (QUALITY.md), or two evaluations of weights that were tuned for them, which train
equally good ConvNets (SWITCHES.md); run as the stage `sample` would run it within 600 s. The seconds that it takes to
choose precision and compilation are subtracted from the budget.
"""

import time
from collections.abc import Iterator

import torch
from torch import Tensor

from benchmarks.measuring import CPU, PAIRS, Row, in_turn, seconds
from benchmarks.models import DIGITS, TINY_UVIT, UVIT_S, Case, as_published
from diffdistill.config import Solver
from diffdistill.diffusion import running
from diffdistill.diffusion.denoiser import Denoiser
from diffdistill.diffusion.labels import balanced
from diffdistill.diffusion.sampling import sample
from diffdistill.runtime.budget import BatchSize

BUDGET_SECONDS, LIMIT = 600.0, 250
PUBLISHED = Solver(algorithm="dpmsolver", method="singlestep", order=3, nfe=50)
FIVE_OF_FIFTY = PUBLISHED.changed(nfe=5)
TWO = Solver(algorithm="consistency", nfe=2)
EIGHT = Solver(algorithm="dpmsolver++", method="multistep", order=2, nfe=8)


def generated(denoiser: Denoiser, solver: Solver, count: int, device: torch.device = CPU, first: int = 0) -> Tensor:
    """Images uint8 (count, C, H, W) of classes in turn."""
    classes = balanced(first, count, denoiser.labels.num_classes)
    return sample(denoiser, solver, classes, seed=0, first=first, device=device)


def faster(
    case: Case, images: int, solver: Solver = EIGHT, *, budget_seconds: float = BUDGET_SECONDS, pairs: int = PAIRS
) -> list[float]:
    """Images per second: ours divided by the reference's."""
    denoiser = case.build().eval()
    published = as_published(denoiser)
    started = time.perf_counter()
    plan = running.plan(
        denoiser, precision="auto", compile="auto", batch_size=LIMIT, budget_seconds=budget_seconds, device=CPU
    )
    left = 1 - (time.perf_counter() - started) / budget_seconds
    sizes = BatchSize(min(images, LIMIT))
    for _ in range(2 * LIMIT.bit_length()):  # as the stage finds the best size while it samples
        count = sizes.next()
        sizes.took(count, seconds(lambda count=count: generated(plan.denoiser, solver, count)))  # type: ignore[misc]
    batch = sizes.next()
    batches = images // batch

    def ours() -> None:
        for _ in range(batches):
            generated(plan.denoiser, solver, batch)

    print(f"batches of {batch}, {plan.describe()}, {left:.1%} of the budget left for sampling", flush=True)
    pairs_of_seconds = in_turn(lambda: generated(published, FIVE_OF_FIFTY, images), ours, pairs)
    return [left * (batches * batch / mine) / (images / (10 * theirs)) for theirs, mine in pairs_of_seconds]


def rows(toy: bool = False) -> Iterator[Row]:
    published = "singlestep DPM-Solver, order 3, 50 evaluations, float32 eager"
    if toy:
        yield Row("images per second: tiny U-ViT", published, None, faster(TINY_UVIT, 8, budget_seconds=1.0, pairs=1))
        return
    small, large = (
        f"images per second: {name}" for name in ("U-ViT, width 128, depth 4, patch 2, 8x8", "U-ViT-S, 32x32")
    )
    yield Row(small, f"{published}, batch 1000", 12, faster(DIGITS, 1000))
    two = f"{small}, two evaluations of tuned weights"
    yield Row(two, f"{published}, batch 1000", 12, faster(DIGITS, 1000, TWO))
    yield Row(large, f"{published}, batch 4", 6, faster(UVIT_S, 4))
