"""What tells a generator with wrong labels from one with right ones of the same FID: label measures and a pilot.

python -m benchmarks.judge [FOLDER [SEEDS]]   trains on the digits with right labels, with right ones but so short that
FID is no better than with wrong ones, and with 40 % of the labels shuffled; each once a seed (one to two minutes a
training on an idle core). Keeps the weights in FOLDER, and prints what the stages `fid` and `pilot` measure, with the
splits, the features and the reference that the stages make.
"""

import json
import logging
import statistics
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml

from diffdistill import config
from diffdistill.data import image_files
from diffdistill.data.image_files import ImageSet
from diffdistill.diffusion import training, weights
from diffdistill.runtime import files
from diffdistill.runtime.seeds import generator
from diffdistill.stages import fid, fid_features, fid_reference, pilot, prepare

ITERATIONS = 2500
GENERATORS = {"right labels": (0.0, ITERATIONS), "right, stopped early": (0.0, 800), "40 % shuffled": (0.4, ITERATIONS)}
"""Share of labels that change places, and the iteration whose averaged weights are taken."""
FID = ("fid", "class_fid", "label_agreement", "precision", "recall")
DIGITS = config.parse(yaml.safe_load((Path(__file__).parents[1] / "config.yaml").read_text())).experiment("digits")


def main(arguments: list[str]) -> None:
    folder = Path(arguments[0] if arguments else tempfile.mkdtemp())
    seeds = range(int(arguments[1]) if len(arguments) > 1 else 1)
    logging.getLogger("diffdistill").addFilter(lambda record: record.levelno >= logging.WARNING)
    torch.set_num_threads(1)
    _prepare(folder)
    data = image_files.load(folder / "train.safetensors")
    rows = {
        what: [_measured(folder, _trained(folder, data, seed, *how), seed) for seed in seeds]
        for what, how in GENERATORS.items()
    }
    print(f"\n{len(seeds)} of each; mean (least to most)\n\n| measure | {' | '.join(rows)} |\n|---|---|---|---|")
    for name in (*FID, "pilot accuracy"):
        found = [[row[name] for row in rows[what]] for what in rows]
        shown = [f"{statistics.mean(some):.4f} ({min(some):.4f} to {max(some):.4f})" for some in found]
        print(f"| {name} | {' | '.join(shown)} |")


def _prepare(folder: Path) -> None:
    """Splits, features and reference, as the rules make them."""
    splits = [f"{name}={folder / name}.safetensors" for name in ("train", "validation", "test")]
    classifier = folder / "features.safetensors"
    if not classifier.exists():
        _run(prepare, config.as_json(DIGITS.source), [], splits)
        settings = config.as_json(classifier=DIGITS.classifier, seed=DIGITS.fid.seed)
        _run(fid_features, settings, splits[:1], [f"features={classifier}"])
    given = [*splits[:2], f"features={classifier}", f"classifier={classifier}"]
    settings = config.as_json(features="classifier")
    _run(fid_reference, settings, given, [f"reference={folder / 'reference.safetensors'}"])


def _run(stage: Any, settings: str, inputs: list[str], outputs: list[str]) -> None:
    argv = ["--threads", "1", "--config", settings, "--in", *inputs, "--out", *outputs]
    if stage.main(argv) != 0:
        raise SystemExit(f"{stage.__name__} failed")


def _trained(folder: Path, data: ImageSet, seed: int, share: float, until: int) -> Path:
    """Averaged weights of iteration `until`; `share` of the labels have changed places at random."""
    path = folder / f"{seed}.{share}.{until}.safetensors"
    if path.exists():
        return path
    labels, draws = data.labels.clone(), generator("shuffle", seed)
    some = torch.randperm(len(labels), generator=draws)[: int(share * len(labels))]
    labels[some] = labels[some[torch.randperm(len(some), generator=draws)]]
    changed = {"iterations": ITERATIONS, "seed": seed}
    settings = DIGITS.train.model_copy(update=changed).fingerprint()
    recipe = training.Recipe(**settings, log_every=100, snapshot_every=10 * ITERATIONS)
    shape = weights.Shape(data.images.shape[-1], data.images.shape[1], len(data.classes), **DIGITS.model.model_dump())
    state = training.State.start(training.initialise(shape.build, seed), recipe)
    training.train(state, data.images, labels, recipe, until=until)
    weights.save(path, state.average, shape, data.metadata | {"step": str(until)})
    return path


def _measured(folder: Path, path: Path, seed: int) -> Mapping[str, float]:
    """By `fid` and `pilot`, each with this seed for its images."""
    network, found = f"weights={path}", path.with_suffix(".json")
    given = [network, *(f"{name}={folder / name}.safetensors" for name in ("features", "reference"))]
    given.append(f"classifier={folder / 'features.safetensors'}")
    settings = config.as_json(DIGITS.fid.measurement.model_copy(update={"seed": seed}))
    _run(fid, settings, given, [f"fid={found}"])
    row = files.read_record(found, *FID)
    settings = config.as_json(
        solver=DIGITS.sample.solver, images=DIGITS.choose.images, batch_size=250, seed=seed,
        protocol=DIGITS.pilot_protocol, seeds=DIGITS.choose.seeds,
    )  # fmt: skip
    _run(pilot, settings, [network, f"validation={folder / 'validation.safetensors'}"], [f"pilot={found}"])
    tried = files.read_record(found, "accuracy", "standard_error")
    row |= {"pilot accuracy": tried["accuracy"]}
    shown = {name: round(row[name], 4) for name in (*FID, "pilot accuracy")}
    print(path.name, json.dumps(shown | {"its error": round(tried["standard_error"], 4)}), flush=True)
    return row


if __name__ == "__main__":
    main(sys.argv[1:])
