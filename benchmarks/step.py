"""Where the milliseconds of one training step of the demo go, in process time of one thread.

python -m benchmarks.step [--steps 100]
"""

import os
import sys
import time
from collections.abc import Callable, Sequence

import torch

from benchmarks import measuring
from benchmarks.measuring import CPU, machine
from benchmarks.quality import FOLDER, experiments, shortened
from diffdistill import config
from diffdistill.diffusion import ema, training
from diffdistill.diffusion.denoiser import NetworkDenoiser
from diffdistill.diffusion.labels import LabelSpace
from diffdistill.diffusion.training.batch import Batch
from diffdistill.diffusion.training.step import Step
from diffdistill.runtime import devices


def parts(one: config.Experiment, steps: int) -> dict[str, float]:
    """Seconds of a step and of its parts: means over so many."""
    recipe, model = one.train, one.model
    assert recipe is not None and model is not None
    recipe = recipe.changed(iterations=10**6, log_every=10**6)
    images = torch.randint(256, (1000, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    labels, space = torch.arange(1000) % 10, LabelSpace(num_classes=10)
    denoiser = training.initialise(lambda: NetworkDenoiser(model, labels=space, image_shape=(1, 8, 8)), 0)
    execution = training.Execution(precision=devices.precision(recipe.precision, CPU))
    state = training.State.start(denoiser, recipe)
    objective = training.denoising(recipe, schedule=denoiser.schedule, prediction=denoiser.prediction)
    step = Step(denoiser, images, labels, recipe, objective, execution)

    def draw() -> Batch:
        return Batch.draw(0, len(images), images.shape[1:], recipe, slice(0, recipe.batch_size))

    batch = draw()
    x, t, y = batch.noise, batch.t, labels[batch.indices]

    def network() -> None:
        with torch.autocast("cpu", execution.precision, enabled=execution.precision != torch.float32):
            output = denoiser.network(x, t, y)
        output.float().square().mean().backward()

    def whole() -> None:
        training.train(state, images, labels, recipe, until=state.iteration + steps, execution=execution)

    def averages() -> None:
        for weights in state.emas:
            ema.update(weights, denoiser.network, 0.999)

    works: dict[str, Callable[[], object]] = {
        "network, forward and backward": network,
        "the same with loss and inputs": lambda: step(batch),
        "optimiser": lambda: state.optimiser.step(recipe.learning_rate),
        "EMA": averages,
        "drawing the batch, its times and noise": draw,
    }
    return {"whole step": seconds(whole, 1) / steps} | {name: seconds(work, steps) for name, work in works.items()}


def seconds(work: Callable[[], object], steps: int) -> float:
    work()
    started = time.process_time()
    for _ in range(steps):
        work()
    return (time.process_time() - started) / steps


def main(argv: Sequence[str] | None = None) -> int:
    parser = measuring.parser(__doc__)
    parser.add_argument("--steps", type=int, default=100)
    given = parser.parse_args(argv)
    devices.set_up(1)
    block = experiments(FOLDER.parent / "config.yaml")["digits"]
    one = config.read(config.Experiment, shortened(block, 2, 2, 2) if given.toy else block, "config.yaml: digits")
    found = parts(one, 2 if given.toy else given.steps)
    whole = found["whole step"]
    print("| part | ms | share |\n|---|---|---|")
    for name, spent in found.items():
        print(f"| {name} | {1000 * spent:.1f} | {spent / whole:.0%} |")
    print(f"\nOn {machine()}.")
    return 0


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
