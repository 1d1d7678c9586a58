"""Reads the distilled set's metadata, accuracies, audit and exported files; writes the data set card beside these."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from diffdistill.data import image_files
from diffdistill.report import results, tables
from diffdistill.runtime import files, program

LICENCES = {
    "digits": "Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak 1998, UCI Machine Learning "
    "Repository, CC BY 4.0.",
    "cifar100": "CIFAR-100, A. Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images; its authors "
    "state no licence and ask to be cited.",
    "tinyimagenet": "a subset of ImageNet, whose terms allow non-commercial research and education only.",
}
"""What is known of the source's images, by its kind."""
UNKNOWN = "not known to the workflow; say it in export.licence before passing the images on."
LOADING = {
    ".parquet": 'datasets.load_dataset("parquet", data_files="train.parquet")',
    ".zip": 'unzip it, then torchvision.datasets.ImageFolder("train")',
    ".pt": "torch.load(weights_only=True): normalised; equal numbers of each class, in the order of the classes",
}
NAMES = {**tables.TRAIN_SETS, "distilled": "this set"}


def stage(job: program.Job) -> None:
    labels, about = image_files.load_labels_and_metadata(job.input("distilled"))
    classes, exported = json.loads(about["classes"]), job.all_inputs("files")
    parts = [
        _front_matter(exported),
        f"# {job.config['dataset']}, distilled\n\n{len(labels)} synthetic images of {len(classes)} classes, drawn by a "
        "class-conditional diffusion model that was trained on real ones. Made by diffdistill.",
        _table(["file", "bytes", "sha256", "how to read it"], [_file_row(path) for path in exported]),
        "Classes, in the order of the labels: " + ", ".join(classes) + ".",
        "## How it was made\n\n" + "\n".join(f"- {key}: `{about[key]}`" for key in _ORIGIN if key in about),
        "## What it is worth\n\nAccuracy on real test images of classifiers trained by one protocol.\n\n"
        + _accuracies([job.input("accuracy"), job.input("baselines")]),
    ]
    if "audit" in job.inputs:
        parts.append("## Copies of real images\n\n" + _audit(files.read_json(job.input("audit"))))
    licence = job.config["licence"] or LICENCES.get(job.config["source"], UNKNOWN)
    parts.append(f"## Licence\n\nThe real images: {licence}")
    files.write_text(job.output("card"), "\n\n".join(parts) + "\n")


_ORIGIN = ("made_by", "selected_by", "selection", "source_checksum")


def _front_matter(exported: list[Path]) -> str:
    """What Hugging Face's hub reads of a card."""
    lines = ["---", "license: other", "task_categories: [image-classification]", "tags: [synthetic, distillation]"]
    if parquet := [path.name for path in exported if path.suffix == ".parquet"]:
        lines += ["configs:", "- config_name: default", "  data_files:", "  - split: train", f"    path: {parquet[0]}"]
    return "\n".join([*lines, "---"])


def _file_row(path: Path) -> list[str]:
    return [path.name, str(path.stat().st_size), files.sha256(path), LOADING[path.suffix]]


def _accuracies(paths: list[Path]) -> str:
    rows = pd.concat([results.table(path, results.RUNS) for path in paths])
    cells = []
    for name, runs in rows.groupby("train_set"):
        accuracy = tables.spread(runs["accuracy"].mean(), runs["accuracy"].std())
        cells.append([NAMES.get(str(name), str(name)), str(runs["images"].iloc[0]), str(len(runs)), accuracy])
    return _table(["trained on", "images", "trainings", "accuracy"], cells)


def _audit(audit: dict[str, Any]) -> str:
    share = audit["nearest"]["pixels"]["share_in_train"]
    verdict = "**Flagged as memorised**" if audit["flagged"] else "No sign of copies"
    summary = (
        f"{verdict}: of {audit['images']['generated']} generated images, {audit['equal_to_a_train_image']} equal a "
        f"training image, {audit['three_times_nearer_to_one']['generated']['value']:.2%} are three times nearer to one "
        f"than to any other. Share of nearest real images that were trained on, against as many that were not: "
        f"{share['value']:.2f} ({share['low']:.2f} to {share['high']:.2f}); 0.5 if nothing is memorised."
    )
    listed = "\n".join(f"- {line}" for line in [*audit["reasons"], *audit["noticed"]])
    return f"{summary}\n\n{listed}" if listed else summary


def _table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def main(argv: Sequence[str] | None = None) -> int:
    return program.run(stage, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
