"""Images a second within a budget of ten minutes, against the sampler that the U-ViT's authors publish.

The reference: singlestep DPM-Solver of order 3 with 50 evaluations, float32, eager, torch's fused attention. All of its
evaluations cost the same, so five are run and counted tenfold. Ours: DPM-Solver++ of order 2 with 8 evaluations, which
QUALITY.md finds more accurate than the reference, run as the stage would run it within 600 s; the seconds of that
choice are taken off the budget.
"""

import time
from collections.abc import Iterator

import torch

from benchmarks.measuring import Row, in_turn, seconds
from diffdistill.diffusion import sampling, training, uvit, weights
from diffdistill.runtime.budget import BatchSize

CPU = torch.device("cpu")
BUDGET_SECONDS, LIMIT = 600.0, 250
COMMON = {"t_end": 1e-3, "spacing": "logsnr"}
FIVE_OF_FIFTY = {**COMMON, "algorithm": "dpmsolver", "method": "singlestep", "order": 3, "steps": 5}
EIGHT = {**COMMON, "algorithm": "dpmsolver++", "method": "multistep", "order": 2, "steps": 8}
SMALL = weights.Shape(8, 1, 10, 2, 128, 4, 4, 4.0)
UVIT_S = weights.Shape(32, 3, 100, 2, 512, 12, 8, 4.0)


def faster(shape: weights.Shape, images: int) -> list[float]:
    """Images a second: ours divided by the reference's."""
    network = training.initialise(shape.build, 0).eval()
    started = time.perf_counter()
    run, plan = sampling.planned(
        network, shape, precision="auto", compile="auto", batch_size=LIMIT, budget_seconds=BUDGET_SECONDS, device=CPU
    )
    drawing = 1 - (time.perf_counter() - started) / BUDGET_SECONDS
    sizes, few_tokens = BatchSize(min(images, LIMIT)), uvit.FEW_TOKENS

    def draw(count: int) -> None:
        sampling.draw(run, shape, EIGHT, seed=0, first=0, count=count, device=CPU)

    for _ in range(2 * LIMIT.bit_length()):  # as the stage finds the best size while it draws
        count = sizes.next()
        sizes.took(count, seconds(lambda count=count: draw(count)))  # type: ignore[misc]
    batch = sizes.next()
    batches = images // batch

    def reference() -> None:
        uvit.FEW_TOKENS = 0
        sampling.draw(network, shape, FIVE_OF_FIFTY, seed=0, first=0, count=images, device=CPU)
        uvit.FEW_TOKENS = few_tokens

    def ours() -> None:
        for _ in range(batches):
            draw(batch)

    print(f"batches of {batch}, {plan}, {drawing:.1%} of the budget left for drawing", flush=True)
    return [drawing * (batches * batch / mine) / (images / (10 * theirs)) for theirs, mine in in_turn(reference, ours)]


def rows() -> Iterator[Row]:
    published = "singlestep DPM-Solver, order 3, 50 evaluations, float32 eager"
    small, large = (
        f"images a second: {name}" for name in ("U-ViT, width 128, depth 4, patch 2, 8x8", "U-ViT-S, 32x32")
    )
    yield Row(small, f"{published}, batch 1000", 12, faster(SMALL, 1000))
    yield Row(large, f"{published}, batch 4", 6, faster(UVIT_S, 4))
