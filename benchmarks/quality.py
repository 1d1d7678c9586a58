"""Which solver, and how many evaluations: accuracy at equal seconds of sampling, on digits that no choice has seen.

python -m benchmarks.quality    writes benchmarks/quality.png and benchmarks/QUALITY.md

A U-ViT is trained as digits.yaml says, on a part of their train and validation splits. Five ConvNets per solver
are trained on what it samples in the same seconds, and tested on 40 other digits per class. The demo's test split is
not used.
"""

import statistics
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import yaml
from matplotlib.figure import Figure
from torch import Tensor

from benchmarks import measuring
from benchmarks.measuring import CPU, machine
from benchmarks.models import averaged
from benchmarks.sampling import PUBLISHED, generated
from diffdistill import config
from diffdistill.classify import training as classifying
from diffdistill.config import Protocol, Solver
from diffdistill.data import digits, splits
from diffdistill.diffusion import training
from diffdistill.diffusion.denoiser import Denoiser, NetworkDenoiser
from diffdistill.diffusion.labels import LabelSpace
from diffdistill.report import figures, style

FOLDER = Path(__file__).parent
SEEDS, BATCH, HELD_OUT = 5, 250, 40
MULTISTEP: dict[str, dict[str, Any]] = {
    "DPM-Solver++ (2M)": {"algorithm": "dpmsolver++", "order": 2},
    "DPM-Solver++ (3M)": {"algorithm": "dpmsolver++", "order": 3},
    "UniPC-2": {"algorithm": "unipc", "order": 2},
    "iPNDM-4": {"algorithm": "ipndm", "order": 4, "spacing": "rho"},
}
NFE = (5, 8, 10, 20)
COLUMNS = ["solver", "nfe", "images", "seconds per thousand", "accuracy", "error"]


@dataclass(frozen=True)
class Split:
    """Images uint8 (N, C, H, W), and labels int64 (N,)."""

    images: Tensor
    labels: Tensor

    @classmethod
    def digits(cls, experiment: config.Experiment) -> tuple["Split", "Split"]:
        """To train on, and held out; both without the demo's test split."""
        raw = digits.read().train
        images, labels = torch.from_numpy(raw.images), torch.from_numpy(raw.labels)
        source = experiment.source
        rest, _ = splits.cut(raw.labels, per_class=source.test_per_class, seed=source.seed)
        kept, held = splits.cut(raw.labels[rest], per_class=HELD_OUT, seed=source.seed + 2)
        return cls(images[rest[kept]], labels[rest[kept]]), cls(images[rest[held]], labels[rest[held]])


def experiments(path: Path) -> dict[str, Any]:
    """The blocks below `experiments:` in a file, as they are written."""
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))["experiments"]
    return found


def digits_block() -> dict[str, Any]:
    """The experiment in digits.yaml, as it is written: the paper's network on the digits."""
    block: dict[str, Any] = experiments(FOLDER / "digits.yaml")["digits_uvit"]
    return block


def digits_experiment(block: dict[str, Any]) -> config.Experiment:
    """The typed experiment of this block, which digits_block gave, shortened or not."""
    return config.read(config.Experiment, block, "digits.yaml: digits_uvit")


def shortened(block: dict[str, Any], iterations: int, every: int, steps: int | None = None) -> dict[str, Any]:
    """An experiment with so many iterations, kept every so many; steps: of its ConvNets, None for those it has."""
    train = {**block["train"], "iterations": iterations, "slice_iterations": iterations}
    train["warmup_iterations"] = min(train.get("warmup_iterations", 0), iterations - 1)
    evaluate = block["evaluate"]
    if steps is not None:
        evaluate = {**evaluate, "protocol": {**evaluate["protocol"], "steps": steps}}
    return {**block, "train": train, "fid": {**block["fid"], "every": every}, "evaluate": evaluate}


def trained(experiment: config.Experiment, data: Split) -> NetworkDenoiser:
    """Trained as the experiment says, with the weights of the primary EMA; one thread."""
    recipe, model = experiment.train, experiment.model
    assert recipe is not None and model is not None
    labels, (channels, height, width) = LabelSpace(num_classes=10), data.images.shape[1:]
    denoiser = training.initialise(
        lambda: NetworkDenoiser(model, labels=labels, image_shape=(channels, height, width)), recipe.seed
    )
    state = training.State.start(denoiser, recipe)
    training.train(state, data.images, data.labels, recipe, until=recipe.iterations)
    return averaged(state)


def sampled(denoiser: Denoiser, solver: Solver, seconds: float) -> Split:
    """What a solver samples in so many seconds, whole batches."""
    images, started = list[Tensor](), time.perf_counter()
    while not images or time.perf_counter() - started < seconds:
        images.append(generated(denoiser, solver, BATCH, first=BATCH * len(images)))
    return Split(torch.cat(images), torch.arange(BATCH * len(images)) % 10)


def accuracy(data: Split, held: Split, protocol: Protocol, seed: int) -> float:
    torch.set_num_threads(1)
    classifier = classifying.fit(
        data.images, data.labels, num_classes=10, protocol=protocol, seed=seed, device=CPU,
        statistics=classifying.statistics(protocol, data.images), progress="benchmark",
    )  # fmt: skip
    return classifying.accuracy(classifier, held.images, held.labels)


def plot(table: pd.DataFrame, seconds: float) -> Figure:
    """Accuracy against NFE, all at the same seconds, and against the seconds per thousand images."""
    with style.own_style():
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        for axes, column, label, ticks in zip(
            figure.subplots(1, 2, sharey=True),
            ("nfe", "seconds per thousand"),
            ("network evaluations per image", "seconds per thousand images"),
            ((*NFE, PUBLISHED.nfe), (1, 2, 4, 8)),
            strict=True,
        ):
            for (name, rows), (color, marker) in zip(table.groupby("solver", sort=False), figures.CURVES, strict=False):
                axes.errorbar(
                    rows[column], rows["accuracy"], rows["error"], color=color, marker=marker, capsize=2, label=name
                )
            axes.set(xlabel=label, xscale="log")
            axes.set_xticks(ticks, [str(tick) for tick in ticks])
            axes.minorticks_off()
        figure.axes[0].set(ylabel=f"accuracy after {seconds:g} s of sampling")
        figure.axes[1].legend()
    return figure


def measured(experiment: config.Experiment, seconds: float, seeds: int, nfe: Sequence[int]) -> tuple[pd.DataFrame, int]:
    """A row per solver and NFE, and the number of held-out digits."""
    data, held = Split.digits(experiment)
    denoiser, protocol = trained(experiment, data), experiment.evaluate.protocol
    solvers = {("singlestep DPM-Solver-3, published", PUBLISHED.nfe): PUBLISHED}
    solvers |= {(name, count): Solver(**block, nfe=count) for name, block in MULTISTEP.items() for count in nfe}
    rows = []
    with ProcessPoolExecutor(min(2, seeds), get_context("spawn")) as pool:
        for (name, count), solver in solvers.items():
            samples = sampled(denoiser, solver, seconds)
            jobs = [pool.submit(accuracy, samples, held, protocol, seed) for seed in range(seeds)]
            accuracies, images = [job.result() for job in jobs], len(samples.labels)
            error = statistics.stdev(accuracies) / seeds**0.5 if seeds > 1 else float("nan")
            rows.append((name, count, images, 1000 * seconds / images, statistics.mean(accuracies), error))
            print(*rows[-1], flush=True)
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.round({"seconds per thousand": 3, "accuracy": 4, "error": 4}), len(held.labels)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = measuring.parser(__doc__).parse_args(argv)
    torch.set_num_threads(1)
    block, seconds, seeds = digits_block(), 10.0, SEEDS
    if arguments.toy:
        block, seconds, seeds = shortened(block, 5, 5, 2), 0.01, 1
    nfe = NFE[:1] if arguments.toy else NFE
    table, held = measured(digits_experiment(block), seconds, seeds, nfe)
    text = (
        "# Accuracy at equal seconds\n\nWritten by `python -m benchmarks.quality`: "
        f"{seconds:g} s of sampling per solver, one thread; {seeds} ConvNets each, tested on {held} held-out digits; "
        f"error: standard error of their mean. On {machine()}.\n\n"
        f"{table.to_markdown(index=False)}\n\n![](quality.png)\n"
    )
    if not arguments.toy:
        style.save(plot(table, seconds), FOLDER / "quality.png")
        (FOLDER / "QUALITY.md").write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
