"""What each switch of training and sampling changes, at equal seconds of sampling, on digits and on Fashion-MNIST.

python -m benchmarks.switches digits|fashion [switch ...] [--networks N]    writes its rows to benchmarks/SWITCHES.md

Networks are trained on a part of the train split. Five ConvNets per network are tested on its held-out images, which no
choice has seen. No test split is read. Seconds are process time of one thread, so that other load on the machine hardly
counts. Fashion-MNIST (data/fashion-mnist, its four files) is scaled to 16x16, so that two cores can train on it. The
row `paper` trains by the paper's recipe, in as many seconds as the row `none`, and samples by the paper's solver.
"""

import functools
import re
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks import measuring
from benchmarks.measuring import CPU, machine
from benchmarks.quality import Split, digits_block, digits_experiment, experiments, shortened
from diffdistill import config
from diffdistill.classify import training as classifying
from diffdistill.data import idx, selection, splits
from diffdistill.diffusion import augmentation, consistency, labels, subclasses, training
from diffdistill.diffusion.denoiser import Denoiser, NetworkDenoiser
from diffdistill.diffusion.guidance import Guided
from diffdistill.diffusion.labels import LabelSpace, balanced
from diffdistill.diffusion.sampling import sample
from diffdistill.metrics import agreement, features
from diffdistill.runtime import devices

FOLDER = Path(__file__).parent
PAGE = FOLDER / "SWITCHES.md"
CONVNETS, BATCH, SECONDS, HELD_OUT = 5, 250, 10.0, 400
"""The last: of each class of Fashion-MNIST."""
FURTHER = [0.99, 0.9998]
"""Decays of which every network has a further EMA, so that their rows cost no training."""
TUNE = {
    "iterations": 2000, "batch_size": 64, "learning_rate": 1e-3, "warmup_iterations": 50, "decay": "linear",
    "stages": 4, "noise_mean": 0.0, "noise_std": 1.5,
}  # fmt: skip
CONSISTENCY = {"algorithm": "consistency", "nfe": 2}
COMBINED = {"train": {"subclasses": 3}, "sample": {"solver": CONSISTENCY}, "tune": TUNE, "select": "relabel"}
"""With `none`'s min-SNR, what gained on either data set."""
OURS = {"solver": {"order": 2, "nfe": 8}}
EARLIER = {"weight": 1.5, "from_step": 1000}
MIDDLE = {"interval": [0.1, 0.4]}
SWITCHES: dict[str, dict[str, Any]] = {
    "none": {},
    "loss_weight: none": {"train": {"loss_weight": "none"}},
    "times: logit_normal": {"train": {"times": "logit_normal"}},
    "label_dropout: 0.1": {"train": {"label_dropout": 0.1}},
    "augment": {"train": {"augment": "crop_scale_rotate"}},
    "subclasses: 3": {"train": {"subclasses": 3}},
    "ema_decay: 0.99": {"ema": 1},
    "ema_decay: 0.9998": {"ema": 2},
    "guidance": {"train": {"label_dropout": 0.1}, "sample": {"guidance": {"weight": 1.5}}},
    "guidance, interval": {"train": {"label_dropout": 0.1}, "sample": {"guidance": {"weight": 1.5, **MIDDLE}}},
    "autoguidance": {"sample": {"guidance": EARLIER}},
    "autoguidance, interval": {"sample": {"guidance": {**EARLIER, **MIDDLE}}},
    "label_noise: drop": {"select": "drop"},
    "label_noise: relabel": {"select": "relabel"},
    "consistency, 2 evaluations": {"sample": {"solver": CONSISTENCY}, "tune": TUNE},
    "2 evaluations, not tuned": {
        "sample": {"solver": CONSISTENCY}, "tune": {**TUNE, "iterations": 1, "warmup_iterations": 0},
    },
    "combined": COMBINED,
    "paper": {"recipe": "paper"},
    "paper, sampled by ours": {"recipe": "paper", "sample": OURS},
    "paper, five times as long, sampled by ours": {"recipe": "paper", "times_as_long": 5, "sample": OURS},
}  # fmt: skip
REAL = "real images"
HEAD = "| switch | networks | images | accuracy | training, s |\n|---|---|---|---|---|\n"


@dataclass(frozen=True)
class Task:
    """A data set, cut in two, and how denoisers are trained and ConvNets tested on it."""

    data: Split
    held: Split
    blocks: Mapping[str, dict[str, Any]]
    """The experiment by recipe: `none` is ours."""
    toy: bool = False

    @classmethod
    def digits(cls, toy: bool) -> "Task":
        block = digits_block()
        block = shortened(block, 20, 10, 2) if toy else block
        return cls(*Split.digits(digits_experiment(block)), {"none": block}, toy)

    @classmethod
    def fashion(cls, toy: bool) -> "Task":
        """Toy: noise in place of the images."""
        blocks = experiments(FOLDER / "fashion.yaml")
        ours, paper = blocks["fashion_ours"], blocks["fashion_paper"]
        if toy:
            random = torch.Generator().manual_seed(0)
            images = torch.randint(256, (200, 1, 16, 16), generator=random, dtype=torch.uint8)
            noise = Split(images, torch.arange(200) % 10)
            return cls(noise, noise, {"none": shortened(ours, 20, 10, 2), "paper": shortened(paper, 20, 10, 2)}, toy)
        raw = idx.read(Path(ours["source"]["path"]), classes=idx.FASHION_MNIST).train
        large = torch.from_numpy(raw.images).float()
        small = F.interpolate(large, size=16, mode="bilinear", antialias=True).round().clamp(0, 255).to(torch.uint8)
        classes = torch.from_numpy(raw.labels)
        kept, held = splits.cut(raw.labels, per_class=HELD_OUT, seed=2)
        ours, paper = shortened(ours, 4000, 1000, 600), shortened(paper, 80_000, 1000, 600)
        ours["train"]["learning_rate"] = 2e-3
        data, judge = (Split(small[part], classes[part]) for part in (kept, held))
        return cls(data, judge, {"none": ours, "paper": paper})

    def experiment(self, changes: Mapping[str, Any], seed: int) -> config.Experiment:
        values = dict(self.blocks[changes.get("recipe", "none")])
        for block in ("train", "sample", "tune"):
            if block in changes:
                values[block] = {**(values.get(block) or {}), **changes[block]}
        if self.toy:
            values = _tiny(values)
        values["train"] = {**values["train"], "seed": seed, "log_every": 10**6}
        values["train"]["ema_decays"] = [*values["train"]["ema_decays"], *FURTHER]
        return config.read(config.Experiment, values, "benchmark")


def _tiny(values: dict[str, Any]) -> dict[str, Any]:
    """With few iterations of tuning, and an early checkpoint for guidance."""
    values = {**values}
    if values.get("tune"):
        values["tune"] = {**values["tune"], "iterations": 4, "warmup_iterations": 0}
    guidance = values["sample"].get("guidance")
    if guidance and guidance.get("from_step"):
        values["sample"] = {**values["sample"], "guidance": {**guidance, "from_step": 10}}
    return values


@dataclass(frozen=True)
class Trained:
    """What one training gave."""

    denoiser: NetworkDenoiser
    labels: Tensor
    """int64 (N,) of the train images, with sub-classes."""
    weights: Mapping[str, Mapping[str, Tensor]]
    """EMA weights by name; LAST and the number of the decay for those of the last iteration."""
    seconds: float

    def with_weights(self, name: str) -> NetworkDenoiser:
        denoiser = training.initialise(self._new, 0)
        denoiser.network.load_state_dict(dict(self.weights[name]))
        return denoiser.eval()

    def _new(self) -> NetworkDenoiser:
        old = self.denoiser
        return NetworkDenoiser(
            old.model, labels=old.labels, image_shape=old.image_shape, augment_dim=old.augment_dim,
            schedule=old.schedule,
        )  # fmt: skip


LAST = "last"


@dataclass
class Bench:
    """Trainings that several switches share are made once."""

    task: Task
    seconds: float = SECONDS
    """Of sampling."""
    batch: int = BATCH
    trainings: dict[str, Trained] = field(default_factory=dict)

    @functools.cached_property
    def classifier(self) -> classifying.Classifier:
        """Trained on the real images that the networks are trained on."""
        one = self.task.experiment({}, 0)
        return self._fitted(self.task.data, one.classifier_protocol, one.classifier.seed)

    def accuracy(self, data: Split, one: config.Experiment, seed: int) -> float:
        held = self.task.held
        return classifying.accuracy(self._fitted(data, one.evaluate.protocol, seed), held.images, held.labels)

    def _fitted(self, data: Split, protocol: config.Protocol, seed: int) -> classifying.Classifier:
        return classifying.fit(
            data.images, data.labels, num_classes=10, protocol=protocol, seed=seed, device=CPU,
            statistics=classifying.statistics(protocol, data.images), progress="benchmark",
        )  # fmt: skip

    def trained(self, one: config.Experiment, limit: float) -> Trained:
        """As the experiment says, or until so many seconds are spent."""
        assert one.train is not None
        key = f"{one.train.model_dump_json()} {limit}"
        if key not in self.trainings:
            self.trainings[key] = self._trained(one, limit)
        return self.trainings[key]

    def _trained(self, one: config.Experiment, limit: float) -> Trained:
        recipe, model, data, started = one.train, one.model, self.task.data, time.process_time()
        assert recipe is not None and model is not None
        targets, counts = data.labels, tuple[tuple[int, ...], ...]()
        if recipe.subclasses > 1:
            points = torch.from_numpy(features.classifier_features(self.classifier, data.images))
            parts = subclasses.cluster(points, data.labels, 10, recipe.subclasses, recipe.seed)
            targets, counts = labels.with_subclasses(data.labels, parts, 10)
        space = LabelSpace(num_classes=10, subclasses=counts, null_label=recipe.label_dropout > 0)
        channels, height, width = data.images.shape[1:]
        denoiser = training.initialise(
            lambda: NetworkDenoiser(
                model, labels=space, image_shape=(channels, height, width),
                augment_dim=augmentation.dimension(recipe.families),
            ),
            recipe.seed,
        )  # fmt: skip
        state = training.State.start(denoiser, recipe)
        training.train(
            state, data.images, targets, recipe, until=recipe.iterations, snapshot_every=one.snapshot_every,
            execution=training.Execution(precision=devices.precision(recipe.precision, CPU)),
            stop_signal=lambda: int(time.process_time() - started > limit),
        )  # fmt: skip
        last = {f"{LAST}{number}": weights for number, weights in enumerate(state.emas)}
        spent = time.process_time() - started
        print(f"{state.iteration} iterations, {spent:.0f} s", flush=True)
        return Trained(denoiser, targets, {**state.snapshots, **last}, spent)

    def _tuned(self, base: Trained, name: str, block: config.Tune) -> NetworkDenoiser:
        denoiser = base.with_weights(name)
        objective = consistency.tuning(block, schedule=denoiser.schedule, prediction=denoiser.prediction)
        common = block.model_dump(include=set(config.Recipe.model_fields))
        recipe = config.Recipe(**common, ema_decays=(block.ema_decay,), flip=False, log_every=10**6)
        state = training.State.start(denoiser, recipe)
        training.train(state, self.task.data.images, base.labels, recipe, until=block.iterations, objective=objective)
        denoiser.network.load_state_dict(state.emas[0])
        return denoiser.eval()

    def sampled(self, changes: Mapping[str, Any], seed: int) -> tuple[Split, float]:
        """What a network samples in so many seconds, whole batches; and the seconds of its training and tuning."""
        limit = float("inf")
        if "recipe" in changes:
            limit = changes.get("times_as_long", 1) * self.trained(self.task.experiment({}, seed), limit).seconds
        one = self.task.experiment(changes, seed)
        assert one.sample is not None
        base, name = self.trained(one, limit), f"{LAST}{changes.get('ema', 0)}"
        started = time.process_time()
        denoiser = base.with_weights(name) if one.tune is None else self._tuned(base, name, one.tune)
        spent = base.seconds + time.process_time() - started
        run: Denoiser = denoiser
        if (guidance := one.sample.guidance) is not None:
            weaker = None if guidance.from_step is None else base.with_weights(str(guidance.from_step))
            run = Guided(denoiser, guidance, weaker)
        images, started = list[Tensor](), time.process_time()
        while not images or time.process_time() - started < self.seconds:
            first = self.batch * len(images)
            classes = balanced(first, self.batch, 10)
            images.append(sample(run, one.sample.solver, classes, seed=0, first=first, device=CPU))
        samples = Split(torch.cat(images), balanced(0, self.batch * len(images), 10))
        return self._selected(samples, changes.get("select", "keep")), spent

    def _selected(self, samples: Split, label_noise: str) -> Split:
        if label_noise == "keep":
            return samples
        predicted = agreement.predict(self.classifier, samples.images)
        relabelled, left, _ = selection.without_label_noise(
            samples.labels, *predicted, above=0.5, label_noise=label_noise
        )
        return Split(samples.images[left], relabelled[left])


def row(name: str, networks: int, images: float, accuracies: list[float], seconds: float) -> str:
    """Accuracy with the standard deviation over all ConvNets of all networks."""
    accuracy = f"{100 * statistics.mean(accuracies):.2f} ± {100 * statistics.stdev(accuracies):.2f} %"
    return f"| {name} | {networks} | {images:,.0f} | {accuracy} | {seconds:.0f} |"


def write(name: str, head: str, rows: Mapping[str, str]) -> None:
    """Replace a data set's section, apart from rows that were not measured again."""
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), name, head, rows), encoding="utf-8")


def page(text: str, name: str, head: str, rows: Mapping[str, str]) -> str:
    """The page with these rows of a data set. Where others stay, so does the line on how they were measured."""
    last = dict(re.findall(r"^## (\w+)\n\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    found = {line.split("|")[1].strip(): line for line in last.get(name, "").splitlines() if line.startswith("| ")}
    lines = {**found, **rows}
    table = {key: lines[key] for key in (*SWITCHES, REAL) if key in lines}
    named = ", ".join(f"`{key}`" for key in rows)
    before = last.get(name, "").partition(HEAD)[0].splitlines()
    heads = [line for line in before if line and not line.startswith(f"{named}: ")]
    heads = [*heads, f"{named}: {head}"] if found.keys() - {"switch"} - rows.keys() else [head]
    last[name] = "\n".join(heads) + f"\n\n{HEAD}" + "\n".join(table.values())
    intro = text.partition("\n## ")[0].rstrip()
    sections = [f"## {key}\n\n{one.strip()}" for key, one in last.items()]
    return "\n\n".join([intro, *sections]) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    parser = measuring.parser(__doc__)
    parser.add_argument("data", choices=("digits", "fashion"))
    parser.add_argument("switches", nargs="*", metavar="switch")
    parser.add_argument("--networks", type=int, default=1)
    arguments = parser.parse_args(argv)
    if unknown := set(arguments.switches) - SWITCHES.keys():
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(SWITCHES)}")
    devices.set_up(1)
    task = Task.digits(arguments.toy) if arguments.data == "digits" else Task.fashion(arguments.toy)
    bench, count = Bench(task, 0.0, 20) if arguments.toy else Bench(task), len(task.held.labels)
    convnets = 2 if arguments.toy else CONVNETS
    wanted = [name for name in arguments.switches or SWITCHES if SWITCHES[name].get("recipe", "none") in task.blocks]
    head = (
        f"{bench.seconds:g} s of sampling, {convnets} ConvNets per network, {count:,} held-out images. On {machine()}."
    )
    rows = dict[str, str]()
    print(HEAD, end="", flush=True)

    def report(name: str, *values: Any) -> None:
        rows[name] = row(name, *values)
        print(rows[name], flush=True)
        if not arguments.toy:
            write(arguments.data, head, rows)

    for name in wanted:
        accuracies, images, seconds = list[float](), list[int](), list[float]()
        for seed in range(arguments.networks):
            samples, spent = bench.sampled(SWITCHES[name], seed)
            one = task.experiment(SWITCHES[name], seed)
            accuracies += [bench.accuracy(samples, one, convnet) for convnet in range(convnets)]
            images.append(len(samples.labels))
            seconds.append(spent)
        report(name, arguments.networks, statistics.mean(images), accuracies, statistics.mean(seconds))
    if not arguments.switches:
        one = task.experiment({}, 0)
        accuracies = [bench.accuracy(task.data, one, convnet) for convnet in range(convnets)]
        report(REAL, 0, len(task.data.labels), accuracies, 0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
