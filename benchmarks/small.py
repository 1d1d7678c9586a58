"""What small sets teach: random and herded real images, generated ones, and sets refined from each start.

python -m benchmarks.small digits|fashion SET [SET ...] [--per-class 1 10 50] [--generated SAMPLES] [--weights WEIGHTS]
                           [--architectures convnet resnet18 mobilenet] [--ways hard soft plain field]
                           [--trainings N] [--settings KEY=VALUE ...] [--variant NAME]
python -m benchmarks.small page               writes benchmarks/SMALL.md from the recorded rows alone

SET: real-random, real-herding, real-modes (nearest to k-means centres of pixels), the same three of generated images
(generated-random, …), generated-guided (sampled toward k-means modes of a classifier's features), refined-real,
refined-noise, refined-generated; real, generated: all of them. Ways to train on a set: hard, the labels and the
protocol of the experiment; soft, the probabilities that a classifier trained on all real images gives; plain, without
augmentation; field, 1,000 epochs of a ConvNet of width 128, as the papers on small sets do, in bfloat16. Every row is
appended to benchmarks/small.jsonl as soon as it is measured; where the last one of the same set and machine has fewer
trainings than are asked for, only the others are trained. A refined set is kept in data/small/ and refined again only
with other settings; --variant gives sets of other --settings rows of their own. Splits are those of the rule `prepare`
(data/DATA/train.safetensors and its neighbours); SAMPLES is a samples.safetensors of the workflow, WEIGHTS a weights
file; the folder of either names the generator in the row. Refining and all settings see train and validation; the test
split gives the accuracies of the final sets and nothing else. One thread.
"""

import argparse
import functools
import json
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from benchmarks import measuring, small_page
from benchmarks.measuring import machine, recorded
from benchmarks.sampling import EIGHT
from diffdistill import config
from diffdistill.classify import training
from diffdistill.config.refine import Refine
from diffdistill.config.sampling import Modes
from diffdistill.data import image_files, selection
from diffdistill.data.image_files import ImageSet
from diffdistill.diffusion import checkpoints
from diffdistill.diffusion.labels import balanced
from diffdistill.generators import modes
from diffdistill.metrics import features
from diffdistill.refining import matching, sets
from diffdistill.refining.parameters import Pixels
from diffdistill.refining.refiner import Refiner
from diffdistill.refining.state import State
from diffdistill.runtime import devices

FOLDER = Path(__file__).parent
ROWS = FOLDER / "small.jsonl"
CPU = torch.device("cpu")
DIGITS = {"iterations": 1500, "width": 32}
TRAINED = {"method": "mmd", "decay": "linear", "network_iterations": 40, "network_steps": 4, "network_batch": 64}
"""MMD in the features of networks that are trained between iterations."""
FASHION = {
    **TRAINED,
    "iterations": 1600,
    "validate_every": 400,
    "factor": 2,
    "width": 32,
    "validation_seeds": [0],
}
SETTINGS: dict[str, dict[int, dict[str, Any]]] = {
    "digits": {1: DIGITS, 10: DIGITS | TRAINED, 50: DIGITS | TRAINED | {"iterations": 3000}},
    "fashion": {1: {**FASHION, "iterations": 800}, 10: FASHION, 50: {**FASHION, "factor": 1}},
}
"""By data and images per class; how they were chosen: the head of SMALL.md."""


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

    def protocol_of(self, way: str, architecture: str) -> config.Protocol:
        """How classifiers are trained in this way."""
        if way == "field":
            flip = "" if self.name == "digits" else "_flip"  # a mirrored digit is another sign
            return config.Protocol(
                epochs=1000, augment=f"color_crop_cutout{flip}_scale_rotate", mean=self.protocol.mean,
                std=self.protocol.std, precision="bfloat16",
            )  # fmt: skip
        changes = {"augment": ""} if way == "plain" else {}
        if self.name == "fashion" and architecture == "resnet18":
            changes["precision"] = "bfloat16"  # half the time of a ResNet at 28x28; none is saved at 8x8
        return self.protocol.changed(**changes)

    @property
    def statistics(self) -> training.Statistics:
        return training.statistics(self.protocol, self.train.images)

    def classifier(
        self, images: Tensor, labels: Tensor, seed: int, architecture: str, protocol: config.Protocol,
        compile: bool | None = None,
    ) -> training.Classifier:  # fmt: skip
        return training.fit(
            images, labels, num_classes=len(self.train.classes), protocol=protocol, seed=seed, device=CPU,
            statistics=self.statistics, progress=f"{architecture}, seed {seed}", architecture=architecture,
            compile=compile,
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

    def guided(self, weights: Path, per_class: int, seed: int) -> tuple[Tensor, Tensor]:
        """Samples drawn toward as many modes of their class."""
        labels = balanced(0, per_class * len(self.train.classes), len(self.train.classes))
        settings = config.Sample(
            budget_seconds=None, images=len(labels), seed=seed, solver=EIGHT, modes=Modes(per_class=per_class)
        )
        made = modes.generator(checkpoints.load(weights), settings, self.judge, self.train, CPU)
        return made.generate(0, labels), labels


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
        found = [
            training.accuracy(
                task.classifier(images, labels, seed, "convnet", protocol),
                task.validation.images, task.validation.labels,
            )
            for seed in block.validation_seeds
        ]  # fmt: skip
        print(f"validation {statistics.mean(found):.4f}", flush=True)
        return statistics.mean(found)

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
    images, labels = sets.train_set(kept[-1], block.factor)
    best = max(row[1] for row in state.history)
    return Refined(images, labels, state.seconds, state.iteration, best, refiner.ended)


def measured(
    task: Task, architecture: str, way: str, seeds: range, made: Callable[[int], tuple[Tensor, Tensor]]
) -> tuple[list[float], int]:
    """Test accuracies of a training for each seed, and the number of images; made: seed -> images and labels."""
    accuracies, protocol = list[float](), task.protocol_of(way, architecture)
    compile = True if task.name == "fashion" and architecture != "mobilenet" else None  # once for all of a process
    for seed in seeds:
        images, labels = made(seed)
        given = training.logits(task.judge, images).softmax(1) if way == "soft" else labels
        classifier = task.classifier(images, given, seed, architecture, protocol, compile)
        accuracies.append(training.accuracy(classifier, task.test.images, task.test.labels))
    return accuracies, len(images)


def refined_once(task: Task, name: str, block: Refine, source: ImageSet) -> tuple[ImageSet, dict[str, Any]]:
    """The refined set, and what its row says of it; made again only if the kept one has other settings."""
    path = FOLDER.parent / "data/small" / f"{task.name}-{name}-{block.images_per_class}.safetensors"
    settings = block.model_dump(mode="json")
    if path.exists():
        whole = image_files.load(path)
        about: dict[str, Any] = json.loads(whole.metadata["row"])
        if about["refine"] == settings:
            return whole, about
    found = refined(task, block.completed(task.protocol), source)
    about = {"refine": settings, "seconds": round(found.seconds), "iterations": found.iterations,
             "validation": found.validation, "ended": found.ended}  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"classes": json.dumps(task.train.classes), "row": json.dumps(about)}
    image_files.save(path, found.images, found.labels, {**metadata, **image_files.origin_of(task.train.metadata)})
    return image_files.load(path), about


def recorded_accuracies(row: dict[str, Any]) -> list[float]:
    """Of the first seeds, if the last row of this set was measured with the same settings on this machine."""
    for other in reversed(recorded(ROWS)):
        if small_page.identity(other) == small_page.identity(row):
            same_settings = all(other.get(part) == row.get(part) for part in ("refine", "machine"))
            same_generator = small_page.generator(other) == small_page.generator(row)
            return list(other["accuracies"]) if same_settings and same_generator else []
    return []


def record(task: Task, name: str, per_class: int, generated: ImageSet | None, given: argparse.Namespace) -> None:
    """Measure one set with each architecture in each way, and append a row for each."""
    kind, how = (*name.split("-"), "")[:2]
    row: dict[str, Any] = {"data": task.name, "set": name, "per_class": per_class}
    row |= {"variant": given.variant} if given.variant else {}
    source = generated if "generated" in name and how != "guided" else task.train
    if source is None:
        raise SystemExit(f"{name} needs --generated SAMPLES")
    if how == "guided" and given.weights is None:
        raise SystemExit(f"{name} needs --weights WEIGHTS")
    if "generated" in name:
        row["generator"] = (given.weights if how == "guided" else given.generated).parent.name
    if kind == "refined":
        changes = {key: yaml.safe_load(value) for key, _, value in (one.partition("=") for one in given.settings)}
        values = {"start": how, "images_per_class": per_class, **SETTINGS[task.name][per_class], **changes}
        whole, about = refined_once(task, small_page.name(row), config.read(Refine, values, "refine"), source)
        row |= about

    def made(seed: int) -> tuple[Tensor, Tensor]:
        """Other random images for each training; herding and refining give one set."""
        if kind == "refined":
            return whole.images, whole.labels
        if how == "guided":
            return task.guided(given.weights, per_class, seed)
        return task.picked(source, how, per_class, seed) if how else (source.images, source.labels)

    for architecture in given.architectures:
        for way in given.ways:
            one = {**row, "architecture": architecture, "way": way, "machine": machine()}
            earlier = recorded_accuracies(one)
            seeds = range(len(earlier), given.trainings or small_page.trainings(architecture))
            if not seeds:
                continue
            accuracies, images = measured(task, architecture, way, seeds, made)
            one |= {"images": images, "accuracies": earlier + accuracies}
            measuring.record(ROWS, one)
            print(f"{name}, {per_class} per class, {architecture}, {way}: {small_page.cell(one)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=("digits", "fashion", "page"))
    parser.add_argument("sets", nargs="*", choices=(*small_page.SETS, []))
    parser.add_argument("--per-class", nargs="+", type=int, default=[1, 10, 50])
    parser.add_argument("--architectures", nargs="+", default=["convnet"])
    parser.add_argument("--ways", nargs="+", choices=small_page.WAYS, default=["hard"])
    parser.add_argument("--trainings", type=int, help="five ConvNets, three other networks")
    parser.add_argument("--generated", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--settings", nargs="*", default=[])
    parser.add_argument("--variant")
    given = parser.parse_args()
    if given.data != "page":
        devices.set_up(1)
        task = Task.load(given.data)
        generated = image_files.load(given.generated) if given.generated else None
        for name in given.sets:
            for per_class in given.per_class if name not in small_page.WHOLE else [0]:
                record(task, name, per_class, generated, given)
    small_page.PATH.write_text(small_page.page(recorded(ROWS)), encoding="utf-8")


if __name__ == "__main__":
    main()
