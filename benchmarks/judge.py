"""What tells a denoiser with wrong labels from one with right labels and the same FID: label measures and a pilot.

python -m benchmarks.judge [FOLDER [SEEDS]]   trains on the digits with right labels, with right labels but so briefly
that FID is no better than with wrong ones, and with 40 % of the labels shuffled; each once per seed (one to two minutes
per training on an idle core). Keeps the weights in FOLDER, and prints what the stages `fid` and `pilot` measure, with
the splits, classifier and reference that the stages make.
"""

import json
import logging
import statistics
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks import command, measuring
from benchmarks.quality import digits_block, digits_experiment, shortened
from diffdistill import config
from diffdistill.config import Block, stages
from diffdistill.data import image_files
from diffdistill.data.image_files import ImageSet
from diffdistill.diffusion import checkpoints, training
from diffdistill.diffusion.denoiser import NetworkDenoiser
from diffdistill.diffusion.labels import LabelSpace
from diffdistill.runtime import files
from diffdistill.runtime.seeds import generator

FID = ("fid", "class_fid", "label_agreement", "precision", "recall")
MEASURES = (*FID, "pilot accuracy")


@dataclass(frozen=True)
class Case:
    """How a denoiser is trained."""

    name: str
    shuffled: float
    """Share of the labels that change places."""
    until: int
    """The iteration whose EMA weights are taken."""


@dataclass(frozen=True)
class Bench:
    """Where the files lie, and the experiment that all cases share."""

    folder: Path
    experiment: config.Experiment
    fid_images: int
    pilot_images: int

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.safetensors"

    def run(
        self, stage: str, settings: Block, inputs: Mapping[str, Path], outputs: Mapping[str, Path] | Iterable[str]
    ) -> None:
        outputs = outputs if isinstance(outputs, Mapping) else {name: self.path(name) for name in outputs}
        if command.run(stage, settings, inputs, outputs) != 0:
            raise SystemExit(f"{stage} failed")

    def prepare(self) -> None:
        """Splits, classifier and reference, as the rules make them."""
        one, classifier = self.experiment, self.path("classifier")
        if not classifier.exists():
            self.run("prepare", stages.Prepare(source=one.source), {}, ("train", "validation", "test"))
            settings = stages.Classifier(protocol=one.classifier_protocol, seed=one.classifier.seed)
            self.run("classifier", settings, {"train": self.path("train")}, ("classifier",))
        inputs = {name: self.path(name) for name in ("train", "validation", "classifier")} | {"features": classifier}
        self.run("fid_reference", stages.FidReference(features="classifier"), inputs, ("reference",))

    def trained(self, data: ImageSet, seed: int, case: Case) -> Path:
        """EMA weights of iteration `until`; a share of the labels have changed places at random."""
        path = self.path(f"{seed}.{case.shuffled}.{case.until}")
        if path.exists():
            return path
        labels, random = data.labels.clone(), generator("shuffle", seed)
        some = torch.randperm(len(labels), generator=random)[: int(case.shuffled * len(labels))]
        labels[some] = labels[some[torch.randperm(len(some), generator=random)]]
        block, model = self.experiment.train, self.experiment.model
        assert block is not None and model is not None
        recipe = block.model_copy(update={"seed": seed})
        channels, height, width = data.images.shape[1:]
        space = LabelSpace(num_classes=len(data.classes))
        denoiser = training.initialise(
            lambda: NetworkDenoiser(model, labels=space, image_shape=(channels, height, width)), seed
        )
        state = training.State.start(denoiser, recipe)
        training.train(state, data.images, labels, recipe, until=case.until)
        description = json.dumps(denoiser.describe())
        checkpoints.save(path, state.emas[0], description, data.metadata | {"step": str(case.until)})
        return path

    def measured(self, path: Path, seed: int) -> Mapping[str, float]:
        """By `fid` and `pilot`, each with this seed for its samples."""
        one, found, classifier = self.experiment, path.with_suffix(".json"), self.path("classifier")
        assert one.fid is not None and one.sample is not None
        inputs = {
            "weights": path,
            "features": classifier,
            "classifier": classifier,
            "reference": self.path("reference"),
        }
        measurement = one.fid.measurement.changed(seed=seed, images=self.fid_images)
        self.run("fid", stages.Fid(measurement=measurement), inputs, {"fid": found})
        (row,) = files.read_records(found, *FID)
        solver = one.sample.solver
        settings = stages.Pilot(
            setup=config.SamplingSetup(solver=solver), evaluations=self.pilot_images * solver.nfe, batch_size=250,
            seed=seed, protocol=one.pilot_protocol, seeds=one.checkpoint.seeds,
        )  # fmt: skip
        self.run("pilot", settings, {"weights": path, "validation": self.path("validation")}, {"pilot": found})
        tried = files.read_record(found, "accuracy", "standard_error")
        row |= {"pilot accuracy": tried["accuracy"]}
        shown = {name: round(row[name], 4) for name in MEASURES}
        print(path.name, json.dumps(shown | {"its error": round(tried["standard_error"], 4)}), flush=True)
        return row


def main(argv: Sequence[str] | None = None) -> int:
    parser = measuring.parser(__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("seeds", nargs="?", type=int, default=1)
    arguments = parser.parse_args(argv)
    iterations, short, steps, images = (20, 10, 5, 60) if arguments.toy else (2500, 800, None, 1000)
    cases = [
        Case("right labels", 0.0, iterations),
        Case("right, stopped early", 0.0, short),
        Case("40 % shuffled", 0.4, iterations),
    ]
    block = shortened(digits_block(), iterations, iterations, steps)
    experiment = digits_experiment(block)
    logging.getLogger("diffdistill").addFilter(lambda record: record.levelno >= logging.WARNING)
    torch.set_num_threads(1)
    folder = Path(tempfile.mkdtemp()) if arguments.folder is None else arguments.folder
    bench = Bench(folder, experiment, images, 2 * images)
    bench.prepare()
    data, seeds = image_files.load(bench.path("train")), range(arguments.seeds)
    rows = {case.name: [bench.measured(bench.trained(data, seed, case), seed) for seed in seeds] for case in cases}
    print(f"\n{len(seeds)} of each; mean (least to most)\n\n| measure | {' | '.join(rows)} |\n|---|---|---|---|")
    for name in MEASURES:
        values = [[row[name] for row in rows[case]] for case in rows]
        shown = [f"{statistics.mean(one):.4f} ({min(one):.4f} to {max(one):.4f})" for one in values]
        print(f"| {name} | {' | '.join(shown)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
