"""How cost grows with images, resolution, depth, classes and processes: a plot each, the slope beside the expected one.

python -m benchmarks.growth    writes benchmarks/growth_*.png and benchmarks/GROWTH.md
"""

import dataclasses
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from benchmarks import measuring
from benchmarks.measuring import machine, seconds
from benchmarks.models import Case
from benchmarks.sampling import EIGHT, generated
from benchmarks.training import RECIPE
from diffdistill.config import UViTModel
from diffdistill.diffusion import training
from diffdistill.report import style
from diffdistill.runtime import processes

FOLDER = Path(__file__).parent
MODEL = UViTModel(patch_size=2, embed_dim=128, depth=4, num_heads=4)
SMALL = Case(MODEL, (3, 16, 16), 10)
TOY = Case(MODEL.changed(embed_dim=16, depth=2, num_heads=2), (3, 8, 8), 10)


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


def least(work: Callable[[], object], repeats: int) -> float:
    """The shortest of some runs, after one that does not count."""
    work()
    return min(seconds(work) for _ in range(repeats))


def sampling(case: Case, images: int, repeats: int, batch_size: int = 32) -> float:
    """Seconds of so many images with eight evaluations each."""
    denoiser = case.build().eval()

    def sample() -> None:
        for first in range(0, images, batch_size):
            generated(denoiser, EIGHT, batch_size, first=first)

    return least(sample, repeats)


def _steps(
    rank: int, count: int, meeting: str, case: Case, batch_size: int, repeats: int, report: Callable[[float], None]
) -> None:
    """One process of a training; the first one reports the seconds of a step."""
    torch.set_num_threads(1)
    if count > 1:
        torch.distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=count)
    recipe = RECIPE.changed(batch_size=batch_size)
    state = training.State.start(case.build(), recipe)
    x, y = case.data(2 * batch_size)
    execution = training.Execution(processes=processes.Processes(rank, count, count))
    spent = least(lambda: training.train(state, x, y, recipe, until=state.iteration + 1, execution=execution), repeats)
    if rank == 0:
        report(spent)
    if count > 1:
        torch.distributed.destroy_process_group()


def training_step(count: int, case: Case, batch_size: int, repeats: int) -> float:
    """Seconds of a training step, shared by so many processes of one thread each."""
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    with tempfile.TemporaryDirectory() as folder:
        meeting = str(Path(folder, "meeting"))
        started = [
            context.Process(target=_steps, args=(rank, count, meeting, case, batch_size, repeats, answers.put))
            for rank in range(count)
        ]
        for process in started:
            process.start()
        spent: float = answers.get(timeout=600)
        for process in started:
            process.join()
    return spent


def measured(toy: bool = False) -> list[Growth]:
    case, repeats, batch_size = (TOY, 1, 8) if toy else (SMALL, 3, 256)
    images, sides, depths, classes = (64, 128, 256, 512), (8, 16, 32), (2, 4, 8, 16), (10, 100, 1000)
    if toy:
        images, sides, depths, classes = (32, 64), (4, 8), (2, 4), (10, 20)  # type: ignore[assignment]
    workers = [count for count in (1, 2, 4, 8) if count <= (2 if toy else os.cpu_count() or 1)]

    def of_cases(cases: Sequence[Case]) -> list[float]:
        return [sampling(one, 32, repeats) for one in cases]

    by_side = of_cases([dataclasses.replace(case, image_shape=(3, side, side)) for side in sides])
    by_depth = of_cases([dataclasses.replace(case, model=case.model.changed(depth=depth)) for depth in depths])
    by_classes = of_cases([dataclasses.replace(case, num_classes=count) for count in classes])
    sampled = "seconds of sampling"
    return [
        Growth("images", sampled, images, [sampling(case, count, repeats) for count in images], (1, 1),
               "each costs the same"),
        Growth("pixels", sampled, [side**2 for side in sides], by_side, (1, 2),
               "1 for layers per token, 2 for attention alone"),
        Growth("depth", sampled, depths, by_depth, (0.5, 1), "depth + 1 layers, and the same ends"),
        Growth("classes", sampled, classes, by_classes, (0, 0), "a label is one row of a table"),
        Growth("processes", f"seconds of a training step of {batch_size} images", workers,
               [training_step(count, case, batch_size, repeats) for count in workers], (-1, -1),
               "each takes its share of the batch"),
    ]  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    arguments = measuring.parser(__doc__).parse_args(argv)
    measurements = measured(arguments.toy)
    text = (
        "# How cost grows\n\nWritten by `python -m benchmarks.growth`: the slope of log seconds over log size. U-ViT "
        f"of width {MODEL.embed_dim}, depth {MODEL.depth}, patch {MODEL.patch_size}, {SMALL.image_shape[1]} pixels per "
        f"side, unless the row varies it; eight evaluations per image; on {machine()}.\n\n"
        "| axis | measured | range | slope | expected | because |\n|---|---|---|---|---|---|\n"
        + "\n".join(one.line() for one in measurements)
        + "\n\n"
        + "\n".join(f"![{one.over}](growth_{one.over}.png)" for one in measurements)
        + "\n"
    )
    if not arguments.toy:
        for one in measurements:
            style.save(one.plot(), FOLDER / f"growth_{one.over}.png")
        (FOLDER / "GROWTH.md").write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
