"""The files of an experiment or of another set, as reports and comparisons read them."""

from typing import Any

from diffdistill.config.fields import Block, PositiveInt


class ExperimentFiles(Block):
    """The files of one experiment; None where it has no such file."""

    real: str
    """The real train split."""
    accuracy: str | None = None
    baselines: str | None = None
    fid: str | None = None
    loss: str | None = None
    account: str | None = None
    """Of sampling."""
    refined: str | None = None
    """The account of refining."""
    refined_pictures: str | None = None
    samples: str | None = None
    distilled: str | None = None
    audit: str | None = None
    audit_pairs: str | None = None
    study: str | None = None


class ReportedExperiment(Block):
    """An experiment as a report shows it."""

    dataset: str
    settings: dict[str, Any]
    """Its block of today's config."""
    files: ExperimentFiles


class ComparedSet(Block):
    """A member of a comparison."""

    runs: tuple[str, ...]
    """Trainings on the set, one file per seed."""
    real_runs: tuple[str, ...]
    """Trainings on all real images of its data set with its protocol."""
    real: str
    """The real train split."""
    per_class: PositiveInt | None = None
    """Of random real images."""
    experiment: ReportedExperiment | None = None
    """null: real images."""
    measured: str | None = None
