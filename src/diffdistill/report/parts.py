"""Which tables and figures there are, and what each needs: a new one is a function and an entry here.

A part about all experiments covers those that have the files it needs, and is left out if none has; a part about each
experiment is made for every one that has them.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd
from matplotlib.figure import Figure

from diffdistill.report import figures, study, study_figure, tables
from diffdistill.report.results import Experiment, Experiments

Section = Literal["result", "samples", "study", "training", "tables", "leaderboard"]
"""Of the page; `samples` and `study` are sections of each experiment."""
CHART, PICTURE = 2, 1.5
"""Pixels of a figure per pixel of the page, so that its text is as large as the page's."""


@dataclass(frozen=True)
class Part:
    name: str
    """Of its files; of one experiment, the experiment's name follows."""
    needs: tuple[str, ...]
    """Attributes of Experiment that must not be None."""
    section: Section


@dataclass(frozen=True)
class Table(Part):
    title: str
    of_all: Callable[[Sequence[Experiment], pd.DataFrame], pd.DataFrame] | None = None
    """From the experiments and the published leaderboard."""
    of_each: Callable[[Experiment], pd.DataFrame] | None = None


@dataclass(frozen=True)
class Picture(Part):
    alt: str
    """Described for those who do not see it; {experiment} and {classes} are replaced."""
    caption: str
    of_all: Callable[[Sequence[Experiment], pd.DataFrame], Figure] | None = None
    of_each: Callable[[Experiment], Figure] | None = None
    sharpness: float = CHART
    tall: bool = False


TABLES = (
    Table("accuracy", ("accuracy",), "tables", "Accuracy", lambda some, _: tables.accuracies(some)),
    Table("sampling", ("account",), "tables", "Sampling", lambda some, _: tables.sampling(some)),
    Table("generators", ("fid",), "tables", "Generators", lambda some, _: tables.generators(some)),
    Table("models", ("network",), "tables", "Networks", lambda some, _: tables.models(some)),
    Table(
        "leaderboard", ("challenge",), "leaderboard", "Leaderboard",
        lambda some, published: tables.leaderboard(published, some),
    ),
    Table("findings", ("study",), "study", "Findings", of_each=lambda one: study.findings(_study(one))),
    Table("study", ("study",), "study", "Every training", of_each=lambda one: study.means(_study(one))),
)  # fmt: skip
FIGURES = (
    Picture(
        "accuracy", ("accuracy",), "result", "Bars of accuracy for each train set",
        "Accuracy on real test images. Left: means from 0; whiskers are standard deviations over seeds. Right: the "
        "same enlarged, one dot per seed. “real, random”: as many real images as the distilled set has, or all if "
        "there are fewer.",
        lambda some, _: figures.accuracy(some),
    ),
    Picture(
        "samples", ("samples",), "samples", "Samples of {experiment} beside real images, a row per class{classes}",
        "The first samples of each class (left, not selected) beside real images of the train split (right).",
        of_each=figures.samples, sharpness=PICTURE,
    ),
    Picture(
        "classes", ("samples",), "samples", "One sample of each class of {experiment}, ten per row{classes}",
        "The first sample of each class; none was selected.",
        of_each=figures.classes, sharpness=PICTURE, tall=True,
    ),
    Picture(
        "study", ("study",), "study", "Curves of accuracy by images per class, distilled and real, of {experiment}",
        "Accuracy on real test images by images per class: the first images of the distilled set, and random real "
        "ones. Whiskers are standard deviations over seeds. Dashed lines lead from the whole distilled set to its "
        "real-equivalent size; the pale band is the 95 % interval.",
        of_each=lambda one: study_figure.curve(_study(one)),
    ),
    Picture(
        "fid_curve", ("fid",), "training", "Curves of FID by training iteration",
        "FID of fresh samples by training iteration; a ring marks the lowest. FIDs of different features cannot be "
        "compared.",
        lambda some, _: figures.fid_curve(some),
    ),
    Picture(
        "loss_curve", ("loss",), "training", "Curves of the training loss by iteration",
        "Training loss by iteration (pale) and its running mean.",
        lambda some, _: figures.loss_curve(some),
    ),
    Picture(
        "leaderboard", ("challenge",), "leaderboard", "Bars of the challenge's leaderboard, both tracks",
        "The challenge's published leaderboard. Our row stands in a track once both cifar100 and tinyimagenet are "
        "evaluated by its protocol; it was not submitted.",
        lambda some, published: figures.leaderboard(tables.leaderboard(published, some)),
    ),
)  # fmt: skip


def _study(experiment: Experiment) -> pd.DataFrame:
    assert experiment.study is not None
    return experiment.study


def covered(part: Part, experiments: Experiments) -> list[Experiment]:
    """The experiments that have what the part needs."""
    return [experiment for experiment in experiments.values() if experiment.has(*part.needs)]


def make_tables(experiments: Experiments, published: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Name and table of everything that has a row."""
    for part in TABLES:
        some = covered(part, experiments)
        if part.of_all is not None and some:
            yield part.name, part.of_all(some, published)
        elif part.of_each is not None:
            for experiment in some:
                yield f"{part.name}_{experiment.name}", part.of_each(experiment)


def make_figures(experiments: Experiments, published: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Name and figure of everything that has data; one at a time, because pictures of many images are large."""
    for part in FIGURES:
        some = covered(part, experiments)
        if part.of_all is not None and some:
            yield part.name, part.of_all(some, published)
        elif part.of_each is not None:
            for experiment in some:
                yield f"{part.name}_{experiment.name}", part.of_each(experiment)
