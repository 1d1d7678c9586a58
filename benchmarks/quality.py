"""Which solver, and how many evaluations: accuracy at equal seconds of drawing, on digits that no choice has seen.

python -m benchmarks.quality    writes benchmarks/quality.png and benchmarks/QUALITY.md

A U-ViT is trained as config.yaml's digits are, on a part of their train and validation splits; 40 others of each class
judge five ConvNets a solver, trained on what it draws in the same seconds. The demo's test split is not touched.
"""

import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import yaml
from diffdistill.diffusion.uvit import UViT
from matplotlib.figure import Figure
from torch import Tensor

from benchmarks.measuring import machine
from benchmarks.sampling import CPU
from diffdistill import config
from diffdistill.classify import training as classifying
from diffdistill.data import digits, splits
from diffdistill.diffusion import sampling, training, weights
from diffdistill.report import figures, style

FOLDER = Path(__file__).parent
SECONDS, SEEDS, BATCH, HELD_OUT = 10.0, 5, 250, 40
PUBLISHED = {"algorithm": "dpmsolver", "method": "singlestep", "order": 3, "steps": 50}
MULTISTEP = {
    "DPM-Solver++ (2M)": {"algorithm": "dpmsolver++", "order": 2},
    "DPM-Solver++ (3M)": {"algorithm": "dpmsolver++", "order": 3},
    "UniPC-2": {"algorithm": "unipc", "order": 2},
    "iPNDM-4": {"algorithm": "ipndm", "order": 4, "spacing": "rho"},
}
EVALUATIONS = (5, 8, 10, 20)


@dataclass(frozen=True)
class Split:
    """Digits: images uint8 (N, 1, 8, 8), labels int64 (N,)."""

    images: Tensor
    labels: Tensor

    @classmethod
    def pair(cls, experiment: config.Experiment) -> tuple["Split", "Split"]:
        """To train on, and held out; both without the demo's test split."""
        raw = digits.read()
        images, labels = torch.from_numpy(raw.train_images), torch.from_numpy(raw.train_labels)
        rest, _ = splits.cut(raw.train_labels, per_class=experiment.source.test_per_class, seed=experiment.source.seed)
        kept, held = splits.cut(raw.train_labels[rest], per_class=HELD_OUT, seed=experiment.source.seed + 2)
        return cls(images[rest[kept]], labels[rest[kept]]), cls(images[rest[held]], labels[rest[held]])


def generator(experiment: config.Experiment, data: Split) -> tuple[UViT, weights.Shape]:
    """Trained as the experiment says; one thread."""
    block = experiment.train
    shape = weights.Shape(8, 1, 10, **experiment.model.model_dump())
    names = training.Recipe.__dataclass_fields__.keys() - {"snapshot_every"}
    settings = {name: value for name, value in block.model_dump().items() if name in names}
    recipe = training.Recipe(**settings, snapshot_every=block.iterations)
    state = training.State.start(training.initialise(shape.build, recipe.seed), recipe)
    training.train(state, data.images, data.labels, recipe, until=recipe.iterations)
    state.network.load_state_dict(state.average)
    return state.network.eval(), shape


def drawn(network: UViT, shape: weights.Shape, solver: dict[str, Any]) -> Split:
    """What a solver draws in SECONDS, whole batches."""
    images, labels, started = list[Tensor](), list[Tensor](), time.perf_counter()
    while time.perf_counter() - started < SECONDS:
        batch = sampling.draw(network, shape, solver, seed=0, first=BATCH * len(images), count=BATCH, device=CPU)
        images.append(batch[0])
        labels.append(batch[1])
    return Split(torch.cat(images), torch.cat(labels))


def accuracy(data: Split, held: Split, protocol: classifying.Protocol, seed: int) -> float:
    torch.set_num_threads(1)
    classifier = classifying.fit(
        data.images, data.labels, num_classes=10, protocol=protocol, seed=seed, device=CPU,
        statistics=classifying.statistics(protocol, data.images), progress="benchmark",
    )  # fmt: skip
    return classifying.accuracy(classifier, held.images, held.labels)


def plot(table: pd.DataFrame) -> Figure:
    """Accuracy against evaluations, all at the same seconds, and against the seconds of a thousand images."""
    with style.own_style():
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        for axes, column, label, ticks in zip(
            figure.subplots(1, 2, sharey=True),
            ("evaluations", "seconds a thousand"),
            ("evaluations an image", "seconds a thousand images"),
            ((*EVALUATIONS, PUBLISHED["steps"]), (1, 2, 4, 8)),
            strict=True,
        ):
            for (name, rows), (color, marker) in zip(table.groupby("solver", sort=False), figures.CURVES, strict=False):
                axes.errorbar(
                    rows[column], rows["accuracy"], rows["error"], color=color, marker=marker, capsize=2, label=name
                )
            axes.set(xlabel=label, xscale="log")
            axes.set_xticks(ticks, [str(tick) for tick in ticks])
            axes.minorticks_off()
        figure.axes[0].set(ylabel=f"accuracy after {SECONDS:g} s of drawing")
        figure.axes[1].legend()
    return figure


def main() -> None:
    torch.set_num_threads(1)
    given = yaml.safe_load((FOLDER.parent / "config.yaml").read_text(encoding="utf-8"))
    experiment = config.parse(given).experiment("digits")
    data, held = Split.pair(experiment)
    network, shape = generator(experiment, data)
    protocol = classifying.Protocol(**experiment.evaluate.protocol.model_dump())
    solvers = {("singlestep DPM-Solver-3, published", 50): PUBLISHED}
    solvers |= {(name, steps): {**one, "steps": steps} for name, one in MULTISTEP.items() for steps in EVALUATIONS}
    rows = []
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        for (name, steps), settings in solvers.items():
            made = drawn(network, shape, config.read(config.Solver, settings).model_dump())
            asked = [pool.submit(accuracy, made, held, protocol, seed) for seed in range(SEEDS)]
            accuracies, images = [one.result() for one in asked], len(made.labels)
            error = statistics.stdev(accuracies) / SEEDS**0.5
            rows.append((name, steps, images, 1000 * SECONDS / images, statistics.mean(accuracies), error))
            print(*rows[-1], flush=True)
    table = pd.DataFrame(
        rows, columns=["solver", "evaluations", "images", "seconds a thousand", "accuracy", "error"]
    ).round({"seconds a thousand": 3, "accuracy": 4, "error": 4})
    style.save(plot(table), FOLDER / "quality.png")
    text = (
        "# Accuracy at equal seconds\n\nWritten by `python -m benchmarks.quality`: "
        f"{SECONDS:g} s of drawing a solver, one thread; {SEEDS} ConvNets each, on {len(held.labels)} held-out digits; "
        f"error: standard error of their mean. On {machine()}.\n\n"
        f"{table.to_markdown(index=False)}\n\n![](quality.png)\n"
    )
    (FOLDER / "QUALITY.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
