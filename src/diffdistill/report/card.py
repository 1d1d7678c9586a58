"""The card of a data set, in the form that Hugging Face's hub reads."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from diffdistill.data import marks
from diffdistill.report import columns, diagnosis, refining
from diffdistill.report.results import Experiment
from diffdistill.report.train_sets import TRAIN_SETS
from diffdistill.runtime import files

LICENCES = {
    "digits": "Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak 1998, UCI Machine Learning "
    "Repository, CC BY 4.0.",
    "cifar100": "CIFAR-100 or CIFAR-10, A. Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images; "
    "its authors state no licence and ask to be cited.",
    "tinyimagenet": "a subset of ImageNet, whose terms allow non-commercial research and education only.",
}
"""What is known of the source's images, by its kind."""
LOADING = {
    ".parquet": 'datasets.load_dataset("parquet", data_files="train.parquet")',
    ".zip": 'unzip it, then torchvision.datasets.ImageFolder("train")',
    ".pt": "torch.load(weights_only=True): normalised; equal numbers of each class, in the order of the classes",
}
ORIGIN = ("made_by", "read_as", "selected_by", "selection", "derived_from", "source_checksum")
"""Metadata of the distilled set that says how it was made."""


@dataclass(frozen=True)
class Licence:
    """given: by the user, None if unknown; source: kind of the real data; advice: what to do if neither is known."""

    given: str | None
    source: str
    advice: str

    def __str__(self) -> str:
        return self.given or LICENCES.get(self.source) or f"not known; {self.advice}"


def card(experiment: Experiment, exported: Sequence[Path], licence: Licence, despite: Sequence[str] = ()) -> str:
    """Markdown. The experiment needs the distilled set; accuracies, account and audit are shown if it has them.

    despite: measures of the audit that do not keep the set from being released.
    """
    distilled = experiment.distilled
    assert distilled is not None
    made_by = _maker(experiment)
    parts = [
        _front_matter(exported),
        f"# {experiment.name}, distilled\n\n{distilled.images:,} synthetic images of {len(distilled.classes)} classes"
        f"{made_by}. Written by diffdistill.",
        _table(["file", "bytes", "sha256", "how to read it"], [_file_row(path) for path in exported]),
        f"Classes, in the order of the labels: {', '.join(distilled.classes)}.",
        "## Size\n\n" + " ".join(diagnosis.size(experiment)),
    ]
    if origin := [f"- {key}: `{distilled.metadata[key]}`" for key in ORIGIN if key in distilled.metadata]:
        parts.append("## How it was made\n\n" + "\n".join(origin))
    if experiment.refined is not None:
        parts.append("## How it was refined\n\n" + " ".join(refining.sentences(experiment.refined)))
    if experiment.has("accuracy"):
        head = "## Accuracy\n\nOn real test images, of classifiers trained on each set with one protocol.\n\n"
        parts.append(head + _accuracies(experiment))
    parts.append("## What was audited\n\n" + "\n\n".join(audit_of(experiment.audit, despite)))
    parts.append(
        f"## Marks\n\nEvery PNG names its digital source type, `{marks.source_type(distilled.metadata)}`, in XMP. "
        "`croissant.json` holds this card's facts in Croissant 1.1 with its RAI fields; add `creator`, `url` and "
        "`datePublished` where you publish the set."
    )
    parts.append(f"## Licence\n\nThe real images: {licence}")
    return "\n\n".join(parts) + "\n"


def _maker(experiment: Experiment) -> str:
    if experiment.distilled is not None and (derived := experiment.distilled.metadata.get("derived_from")):
        return f", refined from {derived}"
    if experiment.generator.get("kind") == "diffusion":
        return ", sampled from a class-conditional diffusion model that was trained on real ones"
    return ", a finished set from elsewhere" if experiment.finished else ""


def _front_matter(exported: Sequence[Path]) -> str:
    lines = ["---", "license: other", "task_categories: [image-classification]", "tags: [synthetic, distillation]"]
    if parquet := [path.name for path in exported if path.suffix == ".parquet"]:
        lines += ["configs:", "- config_name: default", "  data_files:", "  - split: train", f"    path: {parquet[0]}"]
    return "\n".join([*lines, "---"])


def _file_row(path: Path) -> list[str]:
    return [path.name, str(path.stat().st_size), files.sha256(path), LOADING.get(path.suffix, "")]


def _accuracies(experiment: Experiment) -> str:
    head = ["trained on", "images", "images / real images", "bytes", "generator bytes", "runs", "accuracy"]
    head.append("relative accuracy")
    cells = []
    for name, row in diagnosis.rows_of(experiment).items():
        generator, relative = row["generator_bytes"], row["relative_accuracy"]
        cells.append([
            TRAIN_SETS[name].title,
            columns.count(row["images"]),
            columns.times(row["images_share"]),
            columns.size(row["bytes"]),
            "" if pd.isna(generator) else columns.size(generator),
            str(row["runs"]),
            columns.mean_std(row["mean"], row["std"]),
            "" if pd.isna(relative) else columns.share(relative),
        ])  # fmt: skip
    return _table(head, cells)


def audit_of(audit: Mapping[str, Any] | None, despite: Sequence[str]) -> Iterator[str]:
    """Paragraphs: what was audited with which verdict, what was overridden, what was not, and what none can show."""
    if audit is None:
        yield "Nothing: whether the set holds copies of real images is not known."
        return
    compared = audit["images"]["generated"]
    yield f"{compared:,} generated images were compared with real ones. Verdict: {audit['verdict']}."
    if overridden := [one for one in audit["measures"] if one["verdict"] != "pass" and one["name"] in despite]:
        listed = "; ".join(f"{one['name']} ({one['verdict']}: {one['reason']})" for one in overridden)
        yield f"**Released despite** {listed}."
    columns_of = ("name", "what", "value", "low", "high", "threshold", "verdict", "source")
    rows = [
        [one[key] if isinstance(one[key], str) else f"{one[key]:.4g}" for key in columns_of]
        for one in audit["measures"]
    ]
    yield _table(["measure", *columns_of[1:]], rows)
    yield "Not audited:\n\n" + "\n".join(f"- {line}" for line in audit["not_audited"])
    yield str(audit["cannot_show"])


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))
