"""What a switch of training or drawing changes on digits, each against config.yaml, at equal seconds of drawing.

python -m benchmarks.switches [switch ...] [--seeds N] [--seconds S]      switches: see SWITCHES; all of them if none

Networks are trained as config.yaml's digits are, on a part of their train and validation splits; 40 other digits of
each class judge three ConvNets a network. The demo's test split is not touched. Seconds are the processor's own, of one
thread, so that what else the machine does hardly counts. The spread is over all ConvNets of all networks.
"""

import argparse
import functools
import json
import statistics
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.measuring import machine
from benchmarks.quality import Split, accuracy
from benchmarks.sampling import CPU
from diffdistill import config
from diffdistill.classify import training as classifying
from diffdistill.diffusion import augmentation, consistency, sampling, subclasses, training, weights
from diffdistill.diffusion.uvit import UViT

CONVNETS, BATCH = 3, 250
TUNE = {
    "iterations": 2000, "batch_size": 64, "learning_rate": 1e-3, "warmup_iterations": 50, "decay": "linear",
    "halvings": 4, "noise_mean": 0.0, "noise_std": 1.5,
}  # fmt: skip
LEAPS = {"algorithm": "consistency", "steps": 2}
SWITCHES: dict[str, dict[str, dict[str, Any]]] = {
    "unweighted": {"train": {"loss_weight": "none"}},
    "logit_normal": {"train": {"times": "logit_normal"}},
    "label_dropout": {"train": {"label_dropout": 0.1}},
    "augment": {"train": {"augment": "crop_scale_rotate"}},
    "subclasses": {"train": {"subclasses": 3}},
    "guidance": {"train": {"label_dropout": 0.1}, "sample": {"guidance": {"weight": 1.5}}},
    "guidance_interval": {
        "train": {"label_dropout": 0.1},
        "sample": {"guidance": {"weight": 1.5, "interval": [0.1, 0.4]}},
    },
    "autoguidance": {"sample": {"guidance": {"weight": 1.5, "from_step": 1000}}},
    "autoguidance_interval": {"sample": {"guidance": {"weight": 1.5, "from_step": 1000, "interval": [0.1, 0.4]}}},
    "leaps_untuned": {"sample": {"solver": LEAPS}, "tune": {**TUNE, "iterations": 1, "warmup_iterations": 0}},
    "consistency": {"sample": {"solver": LEAPS}, "tune": TUNE},
    "consistency_4": {"sample": {"solver": {**LEAPS, "steps": 4}}, "tune": TUNE},
}


@dataclass(frozen=True)
class Trained:
    shape: weights.Shape
    labels: Tensor
    """Of the network, for the images it was trained on."""
    weights: dict[int, dict[str, Tensor]]
    """Averaged ones, by iteration."""

    def network(self, step: int) -> UViT:
        network = self.shape.build()
        network.load_state_dict(self.weights[step])
        return network.eval()


def experiment(changes: dict[str, dict[str, Any]], seed: int) -> config.Experiment:
    digits = config.parse(config_yaml()).experiment("digits")
    values = digits.model_dump(mode="json")
    for block, changed in changes.items():
        values[block] = {**(values[block] or {}), **changed}
    values["train"]["seed"] = seed
    return config.read(config.Experiment, values)


@functools.cache
def config_yaml() -> dict[str, Any]:
    import yaml

    from benchmarks.quality import FOLDER

    return dict(yaml.safe_load((FOLDER.parent / "config.yaml").read_text(encoding="utf-8")))


@functools.cache
def trained(train_json: str) -> Trained:
    """The network of a train block; several switches may share it."""
    one = experiment({"train": json.loads(train_json)}, json.loads(train_json)["seed"])
    data, _ = Split.pair(one)
    labels, counts = data.labels, list[list[int]]()
    if one.train.subclasses > 1:
        protocol = classifying.Protocol(**one.classifier.model_dump())
        classifier = classifying.fit(
            data.images, data.labels, num_classes=10, protocol=protocol, seed=one.fid.seed, device=CPU,
            statistics=classifying.statistics(protocol, data.images), progress="features",
        )  # fmt: skip
        with torch.inference_mode():
            features = classifier.features(data.images)
        parts = subclasses.divided(features, data.labels, 10, one.train.subclasses, one.train.seed)
        labels = parts * 10 + data.labels
        counts = torch.bincount(data.labels * one.train.subclasses + parts).reshape(10, -1).tolist()
    recipe = training.Recipe(**one.train.recipe(), snapshot_every=one.fid.every)
    shape = weights.Shape(
        8, 1, 10, **one.model.model_dump(), subclasses=counts, null_label=recipe.label_dropout > 0,
        augment_dim=augmentation.dimension(recipe.families),
    )  # fmt: skip
    state = training.State.start(training.initialise(shape.build, recipe.seed), recipe)
    training.train(state, data.images, labels, recipe, until=recipe.iterations)
    return Trained(shape, labels, {int(step): average for step, average in state.snapshots.items()})


@functools.cache
def tuned(train_json: str, tune_json: str) -> dict[str, Tensor]:
    """The last weights of a train block, tuned."""
    base, block = trained(train_json), config.Tune.model_validate_json(tune_json)
    one = experiment({"train": json.loads(train_json)}, json.loads(train_json)["seed"])
    data, _ = Split.pair(one)
    objective = consistency.tuning(
        iterations=block.iterations, halvings=block.halvings, noise_mean=block.noise_mean, noise_std=block.noise_std
    )
    recipe = training.Recipe(
        **block.model_dump(include=set(training.Recipe.__dataclass_fields__)),
        flip=False, log_every=1000, snapshot_every=block.iterations,
    )  # fmt: skip
    state = training.State.start(base.network(max(base.weights)), recipe)
    training.train(state, data.images, base.labels, recipe, until=block.iterations, objective=objective)
    return state.average


def drawn(one: config.Experiment, seconds: float) -> tuple[Split, float]:
    """What a network draws in these seconds, whole batches; and the seconds of its training and tuning."""
    started = time.process_time()
    base = trained(one.train.model_dump_json())
    network = base.network(max(base.weights))
    if one.tune is not None:
        network.load_state_dict(tuned(one.train.model_dump_json(), one.tune.model_dump_json()))
    spent, guidance = time.process_time() - started, one.sample.guidance
    run: sampling.Network = network
    if guidance is not None:
        weaker: sampling.Network = sampling.unlabelled(network, base.shape)
        if guidance.from_step is not None:
            weaker = base.network(guidance.from_step)
        run = sampling.guided(network, weaker, weight=guidance.weight, interval=guidance.interval)
    solver, images, labels = one.sample.solver.model_dump(), list[Tensor](), list[Tensor]()
    started = time.process_time()
    while time.process_time() - started < seconds:
        first = BATCH * len(images)
        made = sampling.draw(run, base.shape, solver, seed=0, first=first, count=BATCH, device=CPU)
        images.append(made[0])
        labels.append(made[1])
    return Split(torch.cat(images), torch.cat(labels)), spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("switches", nargs="*", metavar="switch")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0)
    arguments = parser.parse_args()
    if unknown := set(arguments.switches) - SWITCHES.keys():
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(SWITCHES)}")
    torch.set_num_threads(1)
    _, held = Split.pair(experiment({}, 0))
    print(f"{machine()}; {arguments.seconds:g} s of drawing, {arguments.seeds} networks, {CONVNETS} ConvNets each\n")
    print("| switch | images | accuracy | spread | training, s |\n|---|---|---|---|---|", flush=True)
    for name in ("config.yaml", *(arguments.switches or SWITCHES)):
        found, counts, spent = list[float](), list[int](), list[float]()
        for seed in range(arguments.seeds):
            one = experiment(SWITCHES.get(name, {}), seed)
            made, seconds = drawn(one, arguments.seconds)
            protocol = classifying.Protocol(**one.evaluate.protocol.model_dump())
            found += [accuracy(made, held, protocol, judge) for judge in range(CONVNETS)]
            counts.append(len(made.labels))
            spent.append(seconds)
        row = (round(statistics.mean(counts), -2), statistics.mean(found), statistics.stdev(found))
        print("| {} | {:.0f} | {:.4f} | {:.4f} | {:.0f} |".format(name, *row, statistics.mean(spent)), flush=True)


if __name__ == "__main__":
    main()
