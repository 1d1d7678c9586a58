"""Reads the files of experiments; every kind of file but the real train split may be absent."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from diffdistill.config import Protocol, as_json
from diffdistill.config.protocols import TRACK1_PER_CLASS, values_of
from diffdistill.config.stages import ExperimentFiles, ReportedExperiment
from diffdistill.data import image_files
from diffdistill.errors import UserError
from diffdistill.report import columns, study
from diffdistill.runtime import files

RUNS = ("experiment", "train_set", "images", "seed", "accuracy", "epochs")
TABLES: dict[str, Sequence[str]] = {
    "accuracy": RUNS,
    "baselines": RUNS,
    "fid": ("step", "fid", "images", "features", "solver", "nfe", "parameters"),
    "loss": ("iteration", "loss", "images_per_second"),
    "study": study.COLUMNS,
}
"""By kind of file: the columns that it has at least."""
RECORDS: dict[str, Sequence[str]] = {
    "account": ("images",),
    "refined": ("start", "derived_from", "method", "seconds", "iterations", "ended_by", "best_iteration", "validation"),
    "audit": ("verdict", "measures", "not_audited", "cannot_show", "images"),
}
LEADERBOARD = ("track", "rank", "team", "cifar100", "tinyimagenet", "average")
CHALLENGE = ("cifar100", "tinyimagenet")
"""The challenge's data sets."""


@dataclass(frozen=True)
class SetFacts:
    """What a file of images says without its images being read."""

    path: Path
    images: int
    stored_images: int
    """Fewer than `images` if several were stored as one."""
    image_shape: tuple[int, ...]
    per_class: tuple[int, ...]
    classes: list[str]
    """In the order of the labels."""
    titles: list[str]
    """The same for readers."""
    metadata: dict[str, str]

    @property
    def image_bytes(self) -> int:
        """Bytes of one image, uncompressed."""
        return math.prod(self.image_shape)

    @property
    def bytes(self) -> int:
        """Bytes of all stored images, uncompressed."""
        return self.stored_images * self.image_bytes

    @property
    def empty_classes(self) -> list[int]:
        """Labels without an image."""
        return [label for label, images in enumerate(self.per_class) if not images]


@dataclass(frozen=True)
class Experiment:
    """What the files of one experiment hold; None for a file that it does not have."""

    name: str
    dataset: str
    settings: dict[str, Any]
    """Its block of today's config."""
    files: ExperimentFiles
    real: SetFacts
    samples: SetFacts | None = None
    distilled: SetFacts | None = None
    accuracy: pd.DataFrame | None = None
    baselines: pd.DataFrame | None = None
    fid: pd.DataFrame | None = None
    loss: pd.DataFrame | None = None
    study: pd.DataFrame | None = None
    account: dict[str, Any] | None = None
    """Of sampling."""
    refined: dict[str, Any] | None = None
    """Of refining."""
    audit: dict[str, Any] | None = None

    def has(self, *needs: str) -> bool:
        """Whether it has all of these: names of attributes that are not None."""
        return all(getattr(self, kind) is not None for kind in needs)

    @property
    def audit_pairs(self) -> Path | None:
        return None if self.files.audit_pairs is None else Path(self.files.audit_pairs)

    @property
    def runs(self) -> pd.DataFrame:
        """Rows of the distilled set and of the baselines."""
        return pd.concat([table for table in (self.accuracy, self.baselines) if table is not None])

    @property
    def generator(self) -> dict[str, Any]:
        """What the account says of the generator; empty without an account."""
        account = self.account or {}
        found: dict[str, Any] = account.get("generator", account)
        return found

    @property
    def generator_bytes(self) -> int | None:
        """Bytes of the generator; None for a finished set, and if they are unknown."""
        size = self.generator.get("bytes")
        return None if size is None or self.finished else int(size)

    @property
    def finished(self) -> bool:
        """Whether the samples come from elsewhere, so that nothing is known of how long they took."""
        return self.generator.get("kind") == "samples"

    @property
    def sampling_seconds(self) -> float | None:
        """All seconds of a sampling job; None if they are unknown."""
        return None if self.finished else (self.account or {}).get("used_seconds")

    @property
    def making_seconds(self) -> float | None:
        """Seconds of sampling and of refining the samples; None if those of sampling are unknown."""
        sampling = self.sampling_seconds
        return None if sampling is None else sampling + (self.refined or {}).get("seconds", 0)

    @property
    def network(self) -> dict[str, Any] | None:
        """The model block that generated the samples, or that of today's config; None if no network was trained."""
        found: dict[str, Any] | None = self.generator.get("model", self.settings.get("model"))
        return found

    @property
    def made_here(self) -> bool:
        """Whether a diffusion model trained here, or refining without samples, made the set."""
        return self.account is None or str(self.generator.get("kind")).startswith("diffusion")

    @property
    def track(self) -> int | None:
        """Of the challenge, by whose protocol it was evaluated; track 1 takes ten images per class, too."""
        if self.challenge is None or self.accuracy is None or "protocol" not in self.accuracy:
            return None
        ten = (self.accuracy["images"] == TRACK1_PER_CLASS * len(self.real.classes)).all()
        for track in (1, 2) if ten else (2,):
            asked = Protocol.model_validate(values_of(f"track{track}", self.challenge))
            if (self.accuracy["protocol"] == as_json(asked)).all():
                return track
        return None

    @property
    def challenge(self) -> str | None:
        """The data set of the challenge that it was evaluated on."""
        return self.dataset if self.dataset in CHALLENGE and self.accuracy is not None else None


Experiments = Mapping[str, Experiment]


def table(path: Path, needed: Sequence[str] = ()) -> pd.DataFrame:
    """A csv file with at least these columns and one row; columns of names are text, missing values are NaN.

    Raises UserError naming the file otherwise.
    """
    try:
        found = pd.read_csv(path, dtype=str, keep_default_na=False)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; run the rule that makes it") from error
    except (UnicodeDecodeError, ValueError) as error:  # pandas' own errors of parsing are ValueErrors
        raise UserError(f"{path}: not a readable table ({error}); delete it and run again") from error
    if missing := [column for column in needed if column not in found]:
        raise UserError(f"{path}: no column {', '.join(missing)}; delete it and run again")
    if found.empty:
        raise UserError(f"{path}: has no rows; delete it and run again")
    found = found.mask(found == "")
    for column in found:
        if not columns.is_text(str(column)):
            try:
                found[column] = pd.to_numeric(found[column])
            except ValueError as error:
                raise UserError(f"{path}: {column} is not a number ({error}); delete it and run again") from error
    return found


def set_facts(path: Path) -> SetFacts:
    """Raises UserError naming the file if it is missing, broken, or holds no labelled images."""
    labels, metadata = image_files.load_labels_and_metadata(path)
    classes = json.loads(metadata["classes"])
    stored = metadata.get("stored_images", "")
    return SetFacts(
        path=path,
        images=len(labels),
        stored_images=int(stored) if stored.isdecimal() else len(labels),
        image_shape=tuple(image_files.load_rows(path, []).shape[1:]),
        per_class=tuple(labels.bincount(minlength=len(classes)).tolist()),
        classes=classes,
        titles=json.loads(metadata.get("class_titles", metadata["classes"])),
        metadata=metadata,
    )


def read(name: str, reported: ReportedExperiment) -> Experiment:
    """One experiment. Raises UserError if a file is missing, broken, or belongs to another experiment."""
    paths = {kind: Path(path) for kind, path in reported.files.model_dump().items() if path is not None}
    tables = {kind: table(paths[kind], needed) for kind, needed in TABLES.items() if kind in paths}
    for kind in ("accuracy", "baselines"):
        if kind in tables:
            _require_runs_of(name, tables[kind], paths[kind])
    sets = {kind: set_facts(paths[kind]) for kind in ("real", "samples", "distilled") if kind in paths}
    for images in sets.values():
        if images.classes != sets["real"].classes:
            raise UserError(f"{images.path} and {paths['real']} differ in class names or their order; make both again")
    return Experiment(
        name=name,
        dataset=reported.dataset,
        settings=reported.settings,
        files=reported.files,
        real=sets["real"],
        samples=sets.get("samples"),
        distilled=sets.get("distilled"),
        account=_record(paths, "account"),
        refined=_record(paths, "refined"),
        audit=_record(paths, "audit"),
        **tables,
    )


def read_all(experiments: Mapping[str, ReportedExperiment]) -> dict[str, Experiment]:
    """By name, in order. Raises UserError as `read` does."""
    return {name: read(name, reported) for name, reported in experiments.items()}


def _record(paths: Mapping[str, Path], kind: str) -> dict[str, Any] | None:
    return files.read_record(paths[kind], *RECORDS[kind]) if kind in paths else None


def _require_runs_of(name: str, runs: pd.DataFrame, path: Path) -> None:
    others = sorted(set(runs["experiment"].fillna("")) - {name})
    if others:
        raise UserError(f"{path}: holds runs of {', '.join(others)}, expected {name}; delete it and run again")
    if not runs["accuracy"].between(0, 1).all():
        raise UserError(f"{path}: an accuracy is not between 0 and 1; delete it and run again")
