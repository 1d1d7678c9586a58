"""Which network teaches most at equal seconds of training: digits at 8x8, Fashion-MNIST at 28x28, CIFAR at 32x32.

python -m benchmarks.networks [--data fashion|digits|cifar] NETWORK [NETWORK ...] [--seconds 60 600] [--seeds 0 1 2]
                              [--side 16] [--nfe 8] [--set KEY=VALUE ...] [--keep FOLDER]
python -m benchmarks.networks page               writes benchmarks/NETWORKS.md from the recorded rows alone

NETWORK: a name of NETWORKS. --set: changes of the experiment, such as train.learning_rate=1e-3, recorded under the name
and the change. Seconds are process time of one thread, so that other load on the machine hardly counts; ten steps are
timed, the rate falls to 0 over as many as fit, and training ends when the seconds are over. --images are sampled with
each number of evaluations in --nfe, a row for each; a classifier trained on real images says how many labels it agrees
with, and a ConvNet is trained on the images. Both see a part of the train split; on the rest of it, 400 images per
class of Fashion-MNIST, 100 of CIFAR and 40 of the digits, the ConvNet is tested: no test split is read. CIFAR: every
tenth class of CIFAR-100, 400 images each, from the archive in data/. --side: images are scaled to so many pixels. Every
row is appended to networks.jsonl as soon as it is measured. --keep writes what each network samples to a folder, for
benchmarks.given.
"""

import functools
import json
import os
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch.nn import functional as F

from benchmarks import measuring
from benchmarks.measuring import CPU, machine, processor_class
from benchmarks.models import averaged
from benchmarks.quality import Split, digits_block, digits_experiment, experiments, shortened
from benchmarks.sampling import EIGHT, generated
from diffdistill import config
from diffdistill.classify import training as classifying
from diffdistill.data import cifar, idx, image_files, splits
from diffdistill.data.raw import Array, Images
from diffdistill.diffusion import running, training
from diffdistill.diffusion.denoiser import Denoiser, NetworkDenoiser
from diffdistill.diffusion.labels import LabelSpace
from diffdistill.metrics import agreement
from diffdistill.runtime import devices

FOLDER = Path(__file__).parent
PAGE, ROWS = FOLDER / "NETWORKS.md", FOLDER / "networks.jsonl"
HELD_OUT, IMAGES, BATCH = 400, 5000, 250
"""Held-out images per class; images that a network samples, and how many at once."""
CIFAR, CIFAR_HELD_OUT = Path("data/cifar-100-python.tar.gz"), 100
"""The archive, and held-out images per class."""


def with_settings(changes: Mapping[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """The changes, and those of --set."""
    found = {part: dict(values) for part, values in changes.items()}
    for setting in settings:
        key, _, value = setting.partition("=")
        part, _, name = key.partition(".")
        found.setdefault(part, {})[name] = yaml.safe_load(value)
    return found


def _unet(channels: int, *multipliers: int, blocks: int = 1, patch_size: int = 1) -> dict[str, Any]:
    model = {"kind": "unet", "patch_size": patch_size, "channels": channels, "multipliers": multipliers}
    return {"model": {**model, "blocks": blocks, "num_heads": 4, "embed_dim": None, "depth": None}}


_V = with_settings(_unet(64, 1, 1, patch_size=2), ["model.prediction=v"])
NETWORKS: dict[str, dict[str, Any]] = {
    "uvit": {},
    "unet-32-1-2": _unet(32, 1, 2),
    "unet-16-1-2": _unet(16, 1, 2),
    "unet-16-1-2, v": with_settings(_unet(16, 1, 2), ["model.prediction=v"]),
    "unet-32-1-2-2": _unet(32, 1, 2, 2),
    "unet-32-1-2-2-deep": _unet(32, 1, 2, 2, blocks=2),
    "unet-16-1-2-4": _unet(16, 1, 2, 4),
    "unet-p2-64-1-1": _unet(64, 1, 1, patch_size=2),
    "unet-p2-64-1-2": _unet(64, 1, 2, patch_size=2),
    "unet-p2-64-1-2-deep": _unet(64, 1, 2, blocks=2, patch_size=2),
    "unet-p2-64-1-1, v": _V,
    "unet-p2-64-1-1, x0": with_settings(_V, ["model.prediction=x0"]),
    "unet-p2-64-1-1, v, batch 32": with_settings(_V, ["train.batch_size=32"]),
    "unet-p2-64-1-1, v, rate 2e-3": with_settings(_V, ["train.learning_rate=2e-3"]),
    "unet-p2-64-1-1, v, rate 4e-3": with_settings(_V, ["train.learning_rate=4e-3"]),
    "unet-p2-64-1-2, v": with_settings(_unet(64, 1, 2, patch_size=2), ["model.prediction=v"]),
    "unet-p2-48-1-2, v": with_settings(_unet(48, 1, 2, patch_size=2), ["model.prediction=v"]),
    "uvit, v": {"model": {"prediction": "v"}},
    "uvit, v, added": {"model": {"prediction": "v", "conditioning": "added"}},
    "uvit, v, adaptive": {"model": {"prediction": "v", "conditioning": "adaptive"}},
    "uvit, v, muon": {"model": {"prediction": "v"}, "train": {"optimiser": "muon"}},
    "uvit, v, adaptive, muon": {
        "model": {"prediction": "v", "conditioning": "adaptive"},
        "train": {"optimiser": "muon"},
    },
    "unet-p2-96-1-2": _unet(96, 1, 2, patch_size=2),
    "unet-p2-32-1-2": _unet(32, 1, 2, patch_size=2),
}


@dataclass(frozen=True)
class Task:
    """Images to train on, held-out images, and the experiment that variants change."""

    data: Split
    held: Split
    block: dict[str, Any]

    @classmethod
    def digits(cls, toy: bool = False) -> "Task":
        block = digits_block()
        block = shortened(block, 3, 3, 2) if toy else block
        return cls(*Split.digits(digits_experiment(block)), block)

    @classmethod
    def fashion(cls, toy: bool = False) -> "Task":
        """Toy: noise in place of the images."""
        block = experiments(FOLDER / "fashion.yaml")["fashion_ours"]
        if toy:
            random = torch.Generator().manual_seed(0)
            noise = torch.randint(256, (200, 1, 28, 28), generator=random, dtype=torch.uint8)
            split = Split(noise, torch.arange(200) % 10)
            return cls(split, split, shortened(block, 3, 3, 2))
        raw = idx.read(Path(block["source"]["path"]), classes=idx.FASHION_MNIST).train
        return cls(*_cut(raw.images, raw.labels, HELD_OUT), block)

    @classmethod
    def cifar(cls, toy: bool = False) -> "Task":
        """Every tenth class of CIFAR-100. Toy: noise in place of the images."""
        if toy:
            return cls.fashion(toy)
        raw, block = cifar.read(CIFAR).train, experiments(FOLDER / "fashion.yaml")["fashion_ours"]
        chosen = np.flatnonzero(raw.labels % 10 == 0)
        return cls(*_cut(raw.images[chosen], raw.labels[chosen] // 10, CIFAR_HELD_OUT), block)

    def scaled(self, side: int) -> "Task":
        """The same with images of so many pixels a side."""

        def resized(split: Split) -> Split:
            images = F.interpolate(split.images.float(), size=(side, side), mode="bicubic", antialias=True)
            return Split(images.round().clamp(0, 255).to(torch.uint8), split.labels)

        return Task(resized(self.data), resized(self.held), self.block)

    def experiment(self, changes: Mapping[str, Any], seed: int) -> config.Experiment:
        values = dict(self.block)
        for part in ("model", "train"):
            merged = {**values[part], **changes.get(part, {})}
            values[part] = {key: value for key, value in merged.items() if value is not None}
        values["train"] |= {"seed": seed, "log_every": 10**6}
        return config.read(config.Experiment, values, "benchmark")

    @property
    def protocol(self) -> config.Protocol:
        return config.read(config.Protocol, self.block["evaluate"]["protocol"], "benchmark")

    def fitted(self, data: Split, seed: int) -> classifying.Classifier:
        return classifying.fit(
            data.images, data.labels, num_classes=10, protocol=self.protocol, seed=seed, device=CPU,
            statistics=classifying.statistics(self.protocol, data.images), progress="benchmark",
        )  # fmt: skip

    @functools.cached_property
    def judge(self) -> classifying.Classifier:
        """Trained on the real images that the networks are trained on."""
        return self.fitted(self.data, 0)

    def accuracy(self, classifier: classifying.Classifier) -> float:
        return classifying.accuracy(classifier, self.held.images, self.held.labels)


def _cut(images: Images, labels: Array, held_out: int) -> tuple[Split, Split]:
    """To train on, and held out: so many images per class."""
    kept, held = (
        Split(torch.from_numpy(images[rows]), torch.from_numpy(labels[rows]))
        for rows in splits.cut(labels, per_class=held_out, seed=2)
    )
    return kept, held


def new(one: config.Experiment, shape: Sequence[int]) -> training.State:
    """Iteration 0 of an experiment's denoiser; shape: (C, H, W) of its images."""
    recipe, model = one.train, one.model
    assert recipe is not None and model is not None
    channels, height, width = shape
    denoiser = training.initialise(
        lambda: NetworkDenoiser(model, labels=LabelSpace(num_classes=10), image_shape=(channels, height, width)),
        recipe.seed,
    )
    return training.State.start(denoiser, recipe)


def run(state: training.State, data: Split, recipe: config.Recipe, until: int, stop: Callable[[], int]) -> None:
    execution = training.Execution(precision=devices.precision(recipe.precision, CPU), compile=recipe.compile is True)
    training.train(state, data.images, data.labels, recipe, until=until, execution=execution, stop_signal=stop)


def trained(one: config.Experiment, data: Split, seconds: float) -> tuple[training.State, float]:
    """A state after so many seconds of process time, with its rate at about 0; and the seconds that were spent."""
    assert one.train is not None
    warm = one.train.changed(iterations=10**6)
    probe = new(one, data.images.shape[1:])
    run(probe, data, warm, 2, lambda: 0)
    started = time.process_time()
    run(probe, data, warm, 12, lambda: 0)
    iterations = max(2, int(seconds / ((time.process_time() - started) / 10)))
    recipe = one.train.changed(
        iterations=iterations, warmup_iterations=min(one.train.warmup_iterations, iterations - 1)
    )
    state, started = new(one, data.images.shape[1:]), time.process_time()
    run(state, data, recipe, iterations, lambda: int(time.process_time() - started > 1.05 * seconds))
    return state, time.process_time() - started


def sampled(denoiser: Denoiser, images: int, nfe: int) -> tuple[Split, float]:
    """What a denoiser samples, and images per second of process time."""
    size, solver, started = min(BATCH, images), EIGHT.changed(nfe=nfe), time.process_time()
    parts = [generated(denoiser, solver, size, first=first) for first in range(0, images, size)]
    made = Split(torch.cat(parts), torch.arange(len(parts) * size) % 10)
    return made, len(made.labels) / (time.process_time() - started)


def kept(folder: Path | None, name: str, samples: Split, nfe: int) -> None:
    """Write what a network samples, if there is a folder for it."""
    if folder is not None:
        metadata = {"classes": json.dumps([str(number) for number in range(10)]), "generator": name}
        file = f"{re.sub('[^a-z0-9]+', '-', name)}-nfe-{nfe}.safetensors"
        image_files.save(folder / file, samples.images, samples.labels, metadata)


def measured(
    task: Task, changes: Mapping[str, Any], seconds: float, seed: int, images: int, nfe: Sequence[int],
    keep: Callable[[Split, int], None],
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """The rows of one network, one for each number of evaluations; `keep` gets what it samples with each."""
    one = task.experiment(changes, seed)
    state, spent = trained(one, task.data, seconds)
    denoiser = averaged(state)
    ready = running.prepared(denoiser, str(devices.precision("auto", CPU)).removeprefix("torch."), False)
    of_network = {
        "parameters": sum(parameter.numel() for parameter in denoiser.network.parameters()),
        "seed": seed,
        "limit": seconds,
        "seconds": round(spent),
        "iterations": state.iteration,
        "loss": round(noise_error(denoiser, task.data), 5),
    }
    for evaluations in nfe:
        samples, speed = sampled(ready, images, evaluations)
        keep(samples, evaluations)
        predicted, _ = agreement.predict(task.judge, samples.images)
        yield of_network | {
            "nfe": evaluations,
            "images": len(samples.labels),
            "agreement": round(agreement.label_agreement(predicted, samples.labels), 4),
            "accuracy": round(task.accuracy(task.fitted(samples, 0)), 4),
            "images_per_second": round(speed, 1),
            "processor": processor_class(),
            "machine": machine(),
        }


@torch.inference_mode()
def noise_error(denoiser: Denoiser, data: Split) -> float:
    """Mean squared error of the predicted noise at fixed times and noises: comparable between all networks."""
    random = torch.Generator().manual_seed(0)
    x0 = data.images[:: max(1, len(data.images) // 500)][:500].float() / 127.5 - 1
    y = data.labels[:: max(1, len(data.labels) // 500)][:500]
    t, noise = torch.linspace(0.01, 0.99, len(x0)), torch.randn(x0.shape, generator=random)
    alpha, sigma = (value[:, None, None, None] for value in (denoiser.schedule.alpha(t), denoiser.schedule.sigma(t)))
    return float(((denoiser.predict_noise(alpha * x0 + sigma * noise, t, y) - noise) ** 2).mean())


def page(rows: Sequence[Mapping[str, Any]]) -> str:
    """A table per data set, seconds and class of processor: median and range over networks."""
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        side = row.get("side", SIDES[row["data"]])
        groups.setdefault((TITLES[row["data"]], side, row["limit"], row["processor"]), []).append(row)
    lines = [INTRODUCTION]
    for (title, side, limit, processor), found in sorted(groups.items()):
        lines += [f"\n## {title}, {side}x{side}: {limit:g} s of training, {processor}\n", HEAD]
        same: dict[tuple[str, int, int], list[Mapping[str, Any]]] = {}
        for row in found:
            same.setdefault((row["network"], row.get("nfe", EIGHT.nfe), row["images"]), []).append(row)
        best_first = sorted(sorted(same), key=lambda key: -_median(same[key], "accuracy"))
        lines += [_line(*key, same[key]) for key in best_first]
    machines = dict.fromkeys(str(row.get("machine", "a machine that was not recorded")) for row in rows)
    return "\n".join([*lines, "", *(f"On {machine}." for machine in machines)]) + "\n"


def _line(name: str, nfe: int, images: int, rows: Sequence[Mapping[str, Any]]) -> str:
    ends = sorted({min(row["accuracy"] for row in rows), max(row["accuracy"] for row in rows)})
    spread = " to ".join(f"{100 * value:.1f}" for value in ends)
    return (
        f"| {name} | {rows[0]['parameters'] / 1e6:.2f} M | {_median(rows, 'iterations'):.0f} "
        f"| {_median(rows, 'loss'):.4f} | {nfe} | {100 * _median(rows, 'agreement'):.1f} % "
        f"| {images:,} "
        f"| {100 * _median(rows, 'accuracy'):.1f} % ({spread}, {len(rows)}) "
        f"| {_median(rows, 'images_per_second'):.0f} |"
    )


def _median(rows: Sequence[Mapping[str, Any]], key: str) -> float:
    return float(statistics.median(row[key] for row in rows))


TITLES = {"cifar": "Ten classes of CIFAR-100", "digits": "Digits", "fashion": "Fashion-MNIST"}
SIDES = {"cifar": 32, "digits": 8, "fashion": 28}
"""In pixels, as published."""
INTRODUCTION = f"""# Networks at equal seconds of training

Written by `python -m benchmarks.networks page` from the rows in networks.jsonl, each appended when it was measured.
One ConvNet on what a network samples, tested on images held out of the train split: {10 * HELD_OUT:,} of Fashion-MNIST,
{10 * CIFAR_HELD_OUT:,} of CIFAR (every tenth class of CIFAR-100), 400 digits. Medians over networks; in brackets the
range and their number. Training and sampling in process time of one thread; NFE: evaluations of the network per image;
`p2`: patch size 2, then channels and multipliers; `v`: prediction; `added` and `adaptive`: how the label enters a
U-ViT; `muon`: the optimiser of its matrices."""
HEAD = (
    "| network | parameters | iterations | loss | NFE | label agreement | images | accuracy | images per second |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


def main(argv: Sequence[str] | None = None) -> int:
    parser = measuring.parser(__doc__)
    parser.add_argument("networks", nargs="*", metavar="NETWORK")
    parser.add_argument("--data", choices=("fashion", "digits", "cifar"), default="fashion")
    parser.add_argument("--seconds", nargs="+", type=float, default=[60.0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--images", type=int, default=IMAGES, help="sampled per network")
    parser.add_argument("--nfe", nargs="+", type=int, default=[EIGHT.nfe], help="evaluations per image")
    parser.add_argument("--side", type=int, help="in pixels, to which images are scaled; as published by default")
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    parser.add_argument("--set", nargs="+", default=[], dest="settings")
    given = parser.parse_args(argv)
    names = [*NETWORKS][:1] if given.toy else [name for name in given.networks if name != "page"]
    if unknown := set(names) - NETWORKS.keys():
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(NETWORKS)}")
    devices.set_up(1)
    task, rows = getattr(Task, given.data)(given.toy) if names else None, list[dict[str, Any]]()
    data = {"data": given.data}
    if task is not None and given.side:
        task, data = task.scaled(given.side), data | {"side": given.side}
    for seconds in [0.5] if given.toy else given.seconds:
        for seed in given.seeds:
            for name in names:
                assert task is not None
                changes = with_settings(NETWORKS[name], given.settings)
                network = data | {"network": " ".join([name, *given.settings])}
                keep = functools.partial(kept, given.keep, f"{network['network']}, {seconds:g} s, seed {seed}")
                images = 20 if given.toy else given.images
                for row in measured(task, changes, seconds, seed, images, given.nfe, keep):
                    rows.append(network | row)
                    print(json.dumps(rows[-1]), flush=True)
                    if not given.toy:
                        measuring.record(ROWS, rows[-1])
    if given.toy:
        print(page(rows))
        return 0
    PAGE.write_text(page(measuring.recorded(ROWS)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
