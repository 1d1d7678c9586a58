"""How cost grows with images, resolution, depth, classes and processes: a plot each, the slope beside the expected one.

python -m benchmarks.growth    writes benchmarks/growth_*.png and benchmarks/GROWTH.md
"""

import dataclasses
import multiprocessing
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from benchmarks.measuring import machine, seconds
from benchmarks.sampling import CPU, EIGHT
from benchmarks.training import RECIPE
from diffdistill.diffusion import sampling, training, weights
from diffdistill.report import style
from diffdistill.runtime import processes

FOLDER = Path(__file__).parent
REPEATS = 3
"""The least of so many counts."""
SMALL = weights.Shape(16, 3, 10, 2, 128, 4, 4, 4.0)


@dataclass(frozen=True)
class Growth:
    """Seconds at several sizes; expected: between which slopes the logarithms should lie, and why."""

    over: str
    of: str
    sizes: Sequence[int]
    seconds: Sequence[float]
    expected: tuple[float, float]
    why: str

    @property
    def slope(self) -> float:
        """Of log seconds over log size, by least squares."""
        return float(np.polyfit(np.log(self.sizes), np.log(self.seconds), 1)[0])

    def line(self) -> str:
        low, high = self.expected
        wanted = f"{low:g}" if low == high else f"{low:g} to {high:g}"
        range_ = f"{self.sizes[0]} to {self.sizes[-1]}"
        return f"| {self.over} | {self.of} | {range_} | {self.slope:.2f} | {wanted} | {self.why} |"

    def plot(self) -> Figure:
        with style.own_style():
            figure = Figure(figsize=(5, 3.6), layout="constrained")
            axes = figure.subplots()
            axes.loglog(self.sizes, self.seconds, "o-", color=style.BLUE, label=f"measured, slope {self.slope:.2f}")
            for slope in sorted(set(self.expected)):
                line = [self.seconds[0] * (size / self.sizes[0]) ** slope for size in self.sizes]
                axes.loglog(self.sizes, line, "--", color=style.GREY, label=f"slope {slope:g}")
            axes.set(xlabel=self.over, ylabel="seconds", title=self.of)
            axes.set_xticks(self.sizes, [str(size) for size in self.sizes])
            axes.minorticks_off()
            axes.legend()
        return figure


def least(work: Callable[[], object]) -> float:
    work()
    return min(seconds(work) for _ in range(REPEATS))


def drawing(shape: weights.Shape, images: int, batch_size: int = 32) -> float:
    """Seconds of so many images with eight evaluations."""
    network = training.initialise(shape.build, 0).eval()

    def draw() -> None:
        for first in range(0, images, batch_size):
            sampling.draw(network, shape, EIGHT, seed=0, first=first, count=batch_size, device=CPU)

    return least(draw)


def _steps(rank: int, count: int, meeting: str, told: Callable[[float], None]) -> None:
    """What one process of a training does: the steps' seconds are told by the first."""
    torch.set_num_threads(1)
    if count > 1:
        torch.distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=count)
    recipe = dataclasses.replace(RECIPE, batch_size=256)
    state = training.State.start(training.initialise(SMALL.build, 0), recipe)
    draws = torch.Generator().manual_seed(0)
    x, y = torch.randn(512, 3, 16, 16, generator=draws), torch.randint(10, (512,), generator=draws)
    execution = training.Execution(processes=processes.Processes(rank, count, count))
    spent = least(lambda: training.train(state, x, y, recipe, until=state.iteration + 1, execution=execution))
    if rank == 0:
        told(spent)
    if count > 1:
        torch.distributed.destroy_process_group()


def training_step(count: int) -> float:
    """Seconds of a training step of 256 images, shared by so many processes of one thread each."""
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    with tempfile.TemporaryDirectory() as folder:
        meeting = str(Path(folder, "meeting"))
        started = [context.Process(target=_steps, args=(rank, count, meeting, answers.put)) for rank in range(count)]
        for process in started:
            process.start()
        spent: float = answers.get(timeout=600)
        for process in started:
            process.join()
    return spent


def measured() -> list[Growth]:
    def over(name: str, sizes: Sequence[int]) -> list[float]:
        changes: list[dict[str, Any]] = [{name: size} for size in sizes]
        return [drawing(dataclasses.replace(SMALL, **change), 32) for change in changes]

    images, sides, depths, classes = (64, 128, 256, 512), (8, 16, 32), (2, 4, 8, 16), (10, 100, 1000)
    workers = [count for count in (1, 2, 4, 8) if count <= (os.cpu_count() or 1)]
    by_pixels = [side**2 for side in sides]
    sampled = "seconds of a sample"
    return [
        Growth("images", sampled, images, [drawing(SMALL, count) for count in images], (1, 1), "each costs the same"),
        Growth(
            "pixels", sampled, by_pixels, over("img_size", sides), (1, 2), "1 by layers a token, 2 by attention alone"
        ),
        Growth("depth", sampled, depths, over("depth", depths), (0.5, 1), "depth + 1 layers, and the same ends"),
        Growth("classes", sampled, classes, over("num_classes", classes), (0, 0), "a label is one row of a table"),
        Growth(
            "processes", "seconds of a training step of 256 images", workers,
            [training_step(count) for count in workers], (-1, -1), "each takes its share of the batch",
        ),
    ]  # fmt: skip


def main() -> None:
    grown = measured()
    for one in grown:
        style.save(one.plot(), FOLDER / f"growth_{one.over}.png")
    text = (
        "# How cost grows\n\nWritten by `python -m benchmarks.growth`: the slope of log seconds over log size, U-ViT "
        f"of width {SMALL.embed_dim}, depth {SMALL.depth}, patch {SMALL.patch_size}, {SMALL.img_size} pixels a side, "
        f"where nothing else is said; eight evaluations an image; on {machine()}.\n\n"
        "| over | of | range | slope | expected | because |\n|---|---|---|---|---|---|\n"
        + "\n".join(one.line() for one in grown)
        + "\n\n"
        + "\n".join(f"![{one.over}](growth_{one.over}.png)" for one in grown)
        + "\n"
    )
    (FOLDER / "GROWTH.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
