"""What each switch of training and drawing changes, at equal seconds of drawing, on digits and on Fashion-MNIST.

python -m benchmarks.switches digits|fashion [switch ...] [--networks N]    writes its rows to benchmarks/SWITCHES.md

Networks are trained on a part of the train split; held-out images of it, of which no choice was made, judge five
ConvNets a network. No test split is read. Seconds are the processor's own, of one thread, so that what else the machine
does hardly counts. Fashion-MNIST (data/fashion-mnist, its four files) is scaled to 16x16, so that two cores can train
on it; the row `paper` trains by the paper's recipe, in as many seconds as the row `none`, and draws by the paper's.
"""

import argparse
import functools
import re
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml
from diffdistill.diffusion.uvit import UViT
from torch import Tensor
from torch.nn import functional as F

from benchmarks.measuring import machine
from benchmarks.quality import Split
from benchmarks.sampling import CPU
from diffdistill import config
from diffdistill.classify import training as classifying
from diffdistill.data import idx, selection, splits
from diffdistill.diffusion import augmentation, consistency, sampling, subclasses, training, weights
from diffdistill.metrics import agreement, features
from diffdistill.runtime import devices

FOLDER = Path(__file__).parent
PAGE = FOLDER / "SWITCHES.md"
CONVNETS, BATCH, SECONDS, HELD_OUT = 5, 250, 10.0, 400  # the last: of each of Fashion-MNIST's classes
FURTHER = [0.99, 0.9998]
"""Decays that every network's further averages have, so that their rows cost no training."""
TUNE = {
    "iterations": 2000, "batch_size": 64, "learning_rate": 1e-3, "warmup_iterations": 50, "decay": "linear",
    "stages": 4, "noise_mean": 0.0, "noise_std": 1.5,
}  # fmt: skip
LEAPS = {"algorithm": "consistency", "steps": 2}
OURS = {"solver": {"order": 2, "steps": 8}}
EARLIER = {"weight": 1.5, "from_step": 1000}
MIDDLE = {"interval": [0.1, 0.4]}
SWITCHES: dict[str, dict[str, Any]] = {
    "none": {},
    "loss_weight: none": {"train": {"loss_weight": "none"}},
    "times: logit_normal": {"train": {"times": "logit_normal"}},
    "label_dropout: 0.1": {"train": {"label_dropout": 0.1}},
    "augment": {"train": {"augment": "crop_scale_rotate"}},
    "subclasses: 3": {"train": {"subclasses": 3}},
    "ema_decay: 0.99": {"average": "-ema1"},
    "ema_decay: 0.9998": {"average": "-ema2"},
    "guidance": {"train": {"label_dropout": 0.1}, "sample": {"guidance": {"weight": 1.5}}},
    "guidance, interval": {"train": {"label_dropout": 0.1}, "sample": {"guidance": {"weight": 1.5, **MIDDLE}}},
    "autoguidance": {"sample": {"guidance": EARLIER}},
    "autoguidance, interval": {"sample": {"guidance": {**EARLIER, **MIDDLE}}},
    "label_noise: drop": {"select": "drop"},
    "label_noise: relabel": {"select": "relabel"},
    "consistency, 2 leaps": {"sample": {"solver": LEAPS}, "tune": TUNE},
    "2 leaps, not tuned": {"sample": {"solver": LEAPS}, "tune": {**TUNE, "iterations": 1, "warmup_iterations": 0}},
    "paper": {"recipe": "paper"},
    "paper, drawn by ours": {"recipe": "paper", "sample": OURS},
    "paper, five times as long, drawn by ours": {"recipe": "paper", "times_as_long": 5, "sample": OURS},
}
REAL = "real images"
HEAD = "| switch | networks | images | accuracy | training, s |\n|---|---|---|---|---|\n"


@dataclass(frozen=True)
class Task:
    """A data set, cut in two, and how it is trained and judged."""

    data: Split
    held: Split
    blocks: Mapping[str, dict[str, Any]]
    """The experiment by recipe: none is ours."""

    @classmethod
    def digits(cls) -> "Task":
        given = yaml.safe_load((FOLDER.parent / "config.yaml").read_text(encoding="utf-8"))["datasets"]["digits"]
        return cls(*Split.pair(config.read(config.Experiment, given)), {"none": given})

    @classmethod
    def fashion(cls) -> "Task":
        given = yaml.safe_load((FOLDER / "fashion.yaml").read_text(encoding="utf-8"))["datasets"]
        raw = idx.read(Path(given["fashion_ours"]["source"]["path"]), classes=idx.FASHION_MNIST)
        large = torch.from_numpy(raw.train_images).float()
        small = F.interpolate(large, size=16, mode="bilinear", antialias=True).round().clamp(0, 255).to(torch.uint8)
        labels = torch.from_numpy(raw.train_labels)
        kept, held = splits.cut(raw.train_labels, per_class=HELD_OUT, seed=2)
        ours, paper = given["fashion_ours"], given["fashion_paper"]
        ours["train"] |= {"iterations": 4000, "slice_iterations": 4000, "learning_rate": 2e-3}
        paper["train"] |= {"iterations": 80_000, "slice_iterations": 80_000}
        for block in (ours, paper):
            block["fid"]["every"] = 1000
            block["evaluate"]["protocol"]["steps"] = 600
        data, judge = (Split(small[part], labels[part]) for part in (kept, held))
        return cls(data, judge, {"none": ours, "paper": paper})

    def experiment(self, changes: Mapping[str, Any], seed: int) -> config.Experiment:
        values = dict(self.blocks[changes.get("recipe", "none")])
        for block in ("train", "sample", "tune"):
            if block in changes:
                values[block] = {**(values.get(block) or {}), **changes[block]}
        values["train"] = {**values["train"], "seed": seed, "further_ema_decays": FURTHER}
        return config.read(config.Experiment, values)


@dataclass(frozen=True)
class Trained:
    shape: weights.Shape
    labels: Tensor
    """Of the network, for the images it was trained on."""
    averages: dict[str, dict[str, Tensor]]
    """By name."""
    last: str
    seconds: float

    def network(self, name: str) -> UViT:
        network = self.shape.build()
        network.load_state_dict(self.averages[name])
        return network.eval()


@dataclass
class Bench:
    """Trainings that several switches share are made once."""

    task: Task
    trainings: dict[str, Trained] = field(default_factory=dict)

    @functools.cached_property
    def classifier(self) -> classifying.Classifier:
        """Of the real images that the networks are trained on."""
        one = self.task.experiment({}, 0)
        return self._fitted(self.task.data, classifying.Protocol(**one.classifier.model_dump()), one.fid.seed)

    def accuracy(self, made: Split, one: config.Experiment, seed: int) -> float:
        protocol = classifying.Protocol(**one.evaluate.protocol.model_dump())
        return classifying.accuracy(self._fitted(made, protocol, seed), self.task.held.images, self.task.held.labels)

    def _fitted(self, made: Split, protocol: classifying.Protocol, seed: int) -> classifying.Classifier:
        return classifying.fit(
            made.images, made.labels, num_classes=10, protocol=protocol, seed=seed, device=CPU,
            statistics=classifying.statistics(protocol, made.images), progress="benchmark",
        )  # fmt: skip

    def trained(self, one: config.Experiment, limit: float) -> Trained:
        """As the experiment says, or until so many seconds are spent."""
        key = f"{one.train.model_dump_json()} {limit}"
        if key not in self.trainings:
            self.trainings[key] = self._trained(one, limit)
        return self.trainings[key]

    def _trained(self, one: config.Experiment, limit: float) -> Trained:
        data, started = self.task.data, time.process_time()
        labels, counts = data.labels, list[list[int]]()
        if one.train.subclasses > 1:
            found = torch.from_numpy(features.classifier_features(self.classifier, data.images))
            parts = subclasses.divided(found, data.labels, 10, one.train.subclasses, one.train.seed)
            labels = parts * 10 + data.labels
            counts = torch.bincount(data.labels * one.train.subclasses + parts).reshape(10, -1).tolist()
        recipe = training.Recipe(**one.train.recipe(), snapshot_every=one.fid.every)
        shape = weights.Shape(
            data.images.shape[-1], 1, 10, **one.model.model_dump(), subclasses=counts,
            null_label=recipe.label_dropout > 0, augment_dim=augmentation.dimension(recipe.families),
        )  # fmt: skip
        state = training.State.start(training.initialise(shape.build, recipe.seed), recipe)
        bfloat16 = one.train.precision != "float32" and torch.ops.mkldnn._is_mkldnn_bf16_supported()
        training.train(
            state, data.images, labels, recipe, until=recipe.iterations,
            execution=training.Execution(precision=torch.bfloat16 if bfloat16 else torch.float32),
            stop_signal=lambda: int(time.process_time() - started > limit),
        )  # fmt: skip
        last = {f"last{ending}": average for ending, average in state.averages.items()}
        print(f"{state.iteration} iterations, {time.process_time() - started:.0f} s", flush=True)
        return Trained(shape, labels, {**state.snapshots, **last}, "last", time.process_time() - started)

    def tuned(self, base: Trained, block: config.Tune) -> dict[str, Tensor]:
        objective = consistency.tuning(
            iterations=block.iterations, stages=block.stages, noise_mean=block.noise_mean, noise_std=block.noise_std
        )
        recipe = training.Recipe(
            **block.model_dump(include=set(training.Recipe.__dataclass_fields__)),
            flip=False, log_every=1000, snapshot_every=block.iterations,
        )  # fmt: skip
        state = training.State.start(base.network(base.last), recipe)
        training.train(state, self.task.data.images, base.labels, recipe, until=block.iterations, objective=objective)
        return state.average

    def drawn(self, changes: Mapping[str, Any], seed: int) -> tuple[Split, float]:
        """What a network draws in SECONDS, whole batches; and the seconds of its training and tuning."""
        limit = float("inf")
        if "recipe" in changes:
            limit = changes.get("times_as_long", 1) * self.trained(self.task.experiment({}, seed), limit).seconds
        one = self.task.experiment(changes, seed)
        base = self.trained(one, limit)
        network, started = base.network(base.last + changes.get("average", "")), time.process_time()
        if one.tune is not None:
            network.load_state_dict(self.tuned(base, one.tune))
        spent = base.seconds + time.process_time() - started
        guidance, earlier = one.sample.guidance, None
        if guidance is not None and guidance.from_step is not None:
            earlier = base.network(str(guidance.from_step))
        settings = None if guidance is None else guidance.model_dump()
        run, _ = sampling.with_guidance(network, base.shape, settings, earlier)
        solver, images, labels = one.sample.solver.model_dump(), list[Tensor](), list[Tensor]()
        started = time.process_time()
        while time.process_time() - started < SECONDS:
            first = BATCH * len(images)
            made = sampling.draw(run, base.shape, solver, seed=0, first=first, count=BATCH, device=CPU)
            images.append(made[0])
            labels.append(made[1])
        return self._selected(Split(torch.cat(images), torch.cat(labels)), changes.get("select", "keep")), spent

    def _selected(self, made: Split, label_noise: str) -> Split:
        if label_noise == "keep":
            return made
        judged = agreement.judge(self.classifier, made.images)
        labels, left, _ = selection.repaired(made.labels, *judged, above=0.5, label_noise=label_noise)
        return Split(made.images[left], labels[left])


def row(name: str, networks: int, images: float, accuracies: list[float], seconds: float) -> str:
    """Accuracy with the standard deviation over all ConvNets of all networks."""
    accuracy = f"{100 * statistics.mean(accuracies):.2f} ± {100 * statistics.stdev(accuracies):.2f} %"
    return f"| {name} | {networks} | {images:,.0f} | {accuracy} | {seconds:.0f} |"


def write(name: str, head: str, rows: Mapping[str, str]) -> None:
    """Replace a data set's section, but for rows that were not measured anew."""
    text = PAGE.read_text(encoding="utf-8")
    last = dict(re.findall(r"^## (\w+)\n\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    found = {line.split("|")[1].strip(): line for line in last.get(name, "").splitlines() if line.startswith("| ")}
    lines = {**found, **rows}
    table = {key: lines[key] for key in (*SWITCHES, REAL) if key in lines}
    last[name] = f"{head}\n\n{HEAD}" + "\n".join(table.values())
    intro = text.partition("\n## ")[0].rstrip()
    PAGE.write_text("\n\n".join([intro, *(f"## {key}\n\n{one.strip()}" for key, one in last.items())]) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=("digits", "fashion"))
    parser.add_argument("switches", nargs="*", metavar="switch")
    parser.add_argument("--networks", type=int, default=1)
    arguments = parser.parse_args()
    if unknown := set(arguments.switches) - SWITCHES.keys():
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(SWITCHES)}")
    devices.set_up(1)
    task = Task.digits() if arguments.data == "digits" else Task.fashion()
    bench, count = Bench(task), len(task.held.labels)
    wanted = [name for name in arguments.switches or SWITCHES if SWITCHES[name].get("recipe", "none") in task.blocks]
    head = f"{SECONDS:g} s of drawing, {CONVNETS} ConvNets a network, {count:,} held-out images. On {machine()}."
    rows = dict[str, str]()

    def tell(name: str, *values: Any) -> None:
        rows[name] = row(name, *values)
        print(rows[name], flush=True)
        write(arguments.data, head, rows)

    for name in wanted:
        accuracies, images, seconds = list[float](), list[int](), list[float]()
        for seed in range(arguments.networks):
            made, spent = bench.drawn(SWITCHES[name], seed)
            one = task.experiment(SWITCHES[name], seed)
            accuracies += [bench.accuracy(made, one, judge) for judge in range(CONVNETS)]
            images.append(len(made.labels))
            seconds.append(spent)
        tell(name, arguments.networks, statistics.mean(images), accuracies, statistics.mean(seconds))
    if not arguments.switches:
        one = task.experiment({}, 0)
        accuracies = [bench.accuracy(task.data, one, judge) for judge in range(CONVNETS)]
        tell(REAL, 0, len(task.data.labels), accuracies, 0)


if __name__ == "__main__":
    main()
