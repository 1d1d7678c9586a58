"""What small sets teach: random and herded real images, generated ones, and sets refined from each start.

python -m benchmarks.small digits|fashion SET [SET ...] [--per-class 1 10 50] [--generated SAMPLES]
                           [--architectures convnet resnet18 mobilenet] [--settings KEY=VALUE ...]
python -m benchmarks.small page               writes benchmarks/SMALL.md from the recorded rows alone

SET: real-random, real-herding, real-modes (nearest to k-means centres of pixels), the same three of generated images
(generated-random, …), refined-real, refined-noise, refined-generated, real. Every row is appended to
benchmarks/small.jsonl as soon as it is measured. Splits are those of the rule `prepare` (data/DATA/train.safetensors
and its neighbours); SAMPLES is a samples.safetensors of the workflow. Refining and all settings see train and
validation; the test split gives the accuracies of the final sets and nothing else. One thread.
"""

import argparse
import functools
import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from benchmarks.measuring import machine
from diffdistill import config
from diffdistill.classify import training
from diffdistill.config.refine import Refine
from diffdistill.data import image_files, selection
from diffdistill.data.image_files import ImageSet
from diffdistill.metrics import features
from diffdistill.refining import matching, sets
from diffdistill.refining.parameters import Pixels
from diffdistill.refining.refiner import Refiner
from diffdistill.refining.state import State
from diffdistill.runtime import devices

FOLDER = Path(__file__).parent
PAGE, ROWS = FOLDER / "SMALL.md", FOLDER / "small.jsonl"
CPU, CONVNETS = torch.device("cpu"), 5
SETS = (
    *(f"{source}-{how}" for source in ("real", "generated") for how in ("random", "herding", "modes")),
    *(f"refined-{start}" for start in ("real", "noise", "generated")),
    "real",
)
DIGITS = {"iterations": 1500, "width": 32}
FASHION = {
    "iterations": 1500,
    "width": 32,
    "validate_every": 750,
    "factor": 2,
    "budget_seconds": 1500,
    "validation_seeds": [0],
}
SETTINGS: dict[str, dict[int, dict[str, Any]]] = {
    "digits": {1: DIGITS, 10: DIGITS, 50: DIGITS},
    "fashion": {1: FASHION, 10: FASHION, 50: FASHION},
}
"""By data and images per class; found on validation alone."""


@dataclass(frozen=True)
class Task:
    """A data set with its splits, and how its sets are judged."""

    name: str
    train: ImageSet
    validation: ImageSet
    test: ImageSet
    protocol: config.Protocol

    @classmethod
    def load(cls, name: str) -> "Task":
        own, fashion = FOLDER.parent / "config.yaml", FOLDER / "fashion.yaml"
        path, experiment = {"digits": (own, "digits"), "fashion": (fashion, "fashion_ours")}[name]
        given = _experiments(path)[experiment]
        train, validation, test = (
            image_files.load(FOLDER.parent / "data" / name / f"{part}.safetensors")
            for part in ("train", "validation", "test")
        )
        return cls(
            name, train, validation, test, config.read(config.Protocol, given["evaluate"]["protocol"], str(path))
        )

    @property
    def statistics(self) -> training.Statistics:
        return training.statistics(self.protocol, self.train.images)

    def classifier(
        self, images: Tensor, labels: Tensor, seed: int, architecture: str, protocol: config.Protocol
    ) -> training.Classifier:
        return training.fit(
            images, labels, num_classes=len(self.train.classes), protocol=protocol, seed=seed, device=CPU,
            statistics=self.statistics, progress=f"{architecture}, seed {seed}", architecture=architecture,
        )  # fmt: skip

    @functools.cached_property
    def judge(self) -> training.Classifier:
        """Trained on the whole train split; its features are those that herding works in."""
        return self.classifier(self.train.images, self.train.labels, 0, "convnet", self.protocol)

    def picked(self, source: ImageSet, how: str, per_class: int, seed: int) -> tuple[Tensor, Tensor]:
        pick = sets.picks(how, source.images, seed)
        if how == "herding":
            pick = selection.by_features(
                selection.herding, lambda rows: features.classifier_features(self.judge, source.images[rows])
            )
        chosen = selection.per_class(source.labels, [per_class] * len(source.classes), pick)
        return source.images[chosen], source.labels[chosen]


def _experiments(path: Path) -> dict[str, Any]:
    given = yaml.safe_load(path.read_text(encoding="utf-8"))
    found: dict[str, Any] = given.get("experiments") or given["datasets"]
    return found


@dataclass
class Refined:
    """What refining gave."""

    images: Tensor
    labels: Tensor
    seconds: float
    iterations: int
    validation: float
    ended: str


def refined(task: Task, block: Refine, start: ImageSet) -> Refined:
    """Refine from random images of `start`, or from noise."""
    channels, height, width = task.train.images.shape[1:]
    shape, classes = (channels, height, width), len(task.train.classes)
    if block.start == "noise":
        values = sets.pixels_from_noise(sets.from_noise(classes, block.images_per_class, shape, block.seed))
    else:
        values = sets.from_images(
            start.images, start.labels, classes, block.images_per_class, factor=block.factor,
            pick=sets.picks(block.start_pick, start.images, block.seed),
        )  # fmt: skip
    protocol, kept = block.validation or task.protocol, list[Tensor]()

    def validate(stored: Tensor) -> float:
        images, labels = sets.train_set(stored, block.factor)
        return statistics.mean(
            training.accuracy(
                task.classifier(images, labels, seed, "convnet", protocol),
                task.validation.images, task.validation.labels,
            )
            for seed in block.validation_seeds
        )  # fmt: skip

    state = State.start(values, block.learning_rate, block.betas)
    refiner = Refiner(
        block, matching.Real.of(task.train.images, task.train.labels, classes, task.statistics), Pixels(block.factor),
        matching.Networks(
            shape, classes, block.width or task.protocol.width, task.protocol.depth, task.protocol.momentum,
            task.protocol.weight_decay,
        ),
        validate, kept.append, lambda state: None,
    )  # fmt: skip
    refiner.run(state)
    for row in state.history:
        print(f"iteration {row[0]:.0f}: validation {row[1]:.4f} after {row[2]:.0f} s", flush=True)
    images, labels = sets.train_set(kept[-1], block.factor)
    best = max(row[1] for row in state.history)
    return Refined(images, labels, state.seconds, state.iteration, best, refiner.ended)


def measured(
    task: Task, architecture: str, count: int, made: Callable[[int], tuple[Tensor, Tensor]]
) -> tuple[list[float], int]:
    """Test accuracies of so many trainings, and the number of images; made: seed -> images and labels."""
    accuracies = []
    for seed in range(count):
        images, labels = made(seed)
        classifier = task.classifier(images, labels, seed, architecture, task.protocol)
        accuracies.append(training.accuracy(classifier, task.test.images, task.test.labels))
    return accuracies, len(images)


def record(task: Task, name: str, per_class: int, architectures: Sequence[str], generated: ImageSet | None,
           changes: dict[str, Any]) -> None:  # fmt: skip
    """Measure one set with each architecture, and append a row for each."""
    kind, how = (*name.split("-"), "")[:2]
    row: dict[str, Any] = {"data": task.name, "set": name, "per_class": per_class}
    source = generated if "generated" in name else task.train
    if source is None:
        raise SystemExit(f"{name} needs --generated SAMPLES")
    if kind == "refined":
        values = {"start": how, "images_per_class": per_class, **SETTINGS[task.name][per_class], **changes}
        block = config.read(Refine, values, "refine")
        found = refined(task, block.completed(task.protocol), source)
        row |= {"refine": block.model_dump(mode="json"), "seconds": round(found.seconds),
                "iterations": found.iterations, "validation": found.validation, "ended": found.ended}  # fmt: skip
        fixed = (found.images, found.labels)
    for architecture in architectures:
        # other random images for each training; herding and refining give one set
        accuracies, images = measured(
            task, architecture, CONVNETS if architecture == "convnet" else 3,
            lambda seed: fixed if kind == "refined" else (
                (source.images, source.labels) if not how else task.picked(source, how, per_class, seed)
            ),
        )  # fmt: skip
        one = {
            **row,
            "architecture": architecture,
            "images": images,
            "accuracies": accuracies,
        }
        with ROWS.open("a", encoding="utf-8") as file:
            file.write(json.dumps(one) + "\n")
        print(f"{name}, {per_class} per class, {architecture}: {cell(one)}", flush=True)


def cell(row: dict[str, Any]) -> str:
    """Mean and standard deviation, per cent."""
    accuracies = row["accuracies"]
    spread = f" ± {100 * statistics.stdev(accuracies):.1f}" if len(accuracies) > 1 else ""
    return f"{100 * statistics.mean(accuracies):.1f}{spread}"


HEAD = """# What small sets teach

Written by `python -m benchmarks.small page` from the rows in small.jsonl, each appended when it was measured. Accuracy
on the real test split, mean and standard deviation in per cent: five ConvNets of the experiment's protocol (three of
other networks), hard labels, trained on the set's bytes as they are on disk. `random` sets differ from training to
training, `modes` in the seed of k-means, the others are one set each. Settings were found on images held out of train
and validation. Seconds: of refining on one thread of a busy machine, short trainings on validation included.
"""
PUBLISHED = """## Published rows

Gradient matching without augmentation (arXiv 2006.05929; figures of the readme of VICO-UoE/DatasetCondensation):
ConvNet-3 of width 128, images as floats, on a GPU. Another protocol than ours; MNIST is other data than the digits
above.

| data | 1 per class | 10 per class | 50 per class |
|---|---|---|---|
| Fashion-MNIST | 70.5 | 82.3 | 83.6 |
| MNIST | 91.7 | 97.4 | 98.8 |
"""


def page(rows: Sequence[dict[str, Any]]) -> str:
    """The tables; of a row that was measured twice the last one counts."""
    last = {_key(row): row for row in rows}
    parts = [HEAD]
    for data, title in (("digits", "Digits, 8x8"), ("fashion", "Fashion-MNIST, 28x28")):
        for architecture in ("convnet", "resnet18", "mobilenet"):
            found = {key[2:]: row for key, row in last.items() if key[:2] == (data, architecture)}
            if found:
                parts.append(f"## {title}: {architecture}\n\n{_table(found)}\n")
        refining = [row for key, row in last.items() if key[:2] == (data, "convnet") and "refine" in row]
        if refining:
            parts.append(f"## {title}: how they were refined\n\n{_refining(refining)}\n")
    earlier = [row for row in rows if row is not last[_key(row)]]
    if earlier:
        lines = [
            f"- {row['data']}, {row['set']}, {row['per_class']} per class: {cell(row)}{_how(row)}" for row in earlier
        ]
        parts.append("## Measured before with other settings\n\n" + "\n".join(lines) + "\n")
    return "\n".join([*parts, PUBLISHED, f"On {machine()}.\n"])


def _key(row: dict[str, Any]) -> tuple[str, str, str, int]:
    return row["data"], row["architecture"], row["set"], row["per_class"]


def _how(row: dict[str, Any]) -> str:
    """The settings of refining that were given."""
    if "refine" not in row:
        return ""
    block = config.read(Refine, row["refine"], ROWS.name)
    return f" ({block.iterations} iterations, start {block.start_pick}, validated with {len(block.validation_seeds)})"


def _table(found: dict[tuple[str, int], dict[str, Any]]) -> str:
    sizes = sorted({size for _, size in found if size})
    lines = [f"| set | {' | '.join(f'{size} per class' for size in sizes)} |", "|---" * (1 + len(sizes)) + "|"]
    for name in SETS:
        cells = [cell(found[name, size]) if (name, size) in found else "" for size in sizes]
        if any(cells):
            lines.append(f"| {name} | {' | '.join(cells)} |")
    if ("real", 0) in found:
        lines.append(f"\nAll {found['real', 0]['images']} real images: {cell(found['real', 0])}.")
    return "\n".join(lines)


def _refining(rows: Sequence[dict[str, Any]]) -> str:
    lines = ["| set | per class | method | start | factor | iterations | seconds | validation |", "|---" * 8 + "|"]
    for row in sorted(rows, key=lambda row: (row["set"], row["per_class"])):
        block = config.read(Refine, row["refine"], ROWS.name)
        lines.append(
            f"| {row['set']} | {row['per_class']} | {block.method} | {block.start_pick} | {block.factor} "
            f"| {row['iterations']} | {row['seconds']} | {100 * row['validation']:.1f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=("digits", "fashion", "page"))
    parser.add_argument("sets", nargs="*", choices=(*SETS, []))
    parser.add_argument("--per-class", nargs="+", type=int, default=[1, 10, 50])
    parser.add_argument("--architectures", nargs="+", default=["convnet"])
    parser.add_argument("--generated", type=Path)
    parser.add_argument("--settings", nargs="*", default=[])
    given = parser.parse_args()
    if given.data != "page":
        devices.set_up(1)
        task = Task.load(given.data)
        generated = image_files.load(given.generated) if given.generated else None
        changes = {key: yaml.safe_load(value) for key, _, value in (one.partition("=") for one in given.settings)}
        for name in given.sets:
            for per_class in given.per_class if name != "real" else [0]:
                record(task, name, per_class, given.architectures, generated, changes)
    rows = [json.loads(line) for line in ROWS.read_text(encoding="utf-8").splitlines()]
    PAGE.write_text(page(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
