"""Reads the csv files, samples and real images of all targets; writes every figure as pdf and png."""

import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from diffdistill.data import image_files
from diffdistill.report import excerpt, figures, mosaics, results, tables
from diffdistill.runtime import program


def stage(job: program.Job) -> None:
    found = results.read(job.config, job.inputs)
    published = results.table(job.input("leaderboard"), results.LEADERBOARD)
    runs = {name: pd.concat([found.accuracy[name], found.baselines[name]]) for name in found.experiments}
    made = {
        "fid_curve": figures.fid_curve(found.fid, found.features()),
        "loss_curve": figures.loss_curve(found.loss),
        "accuracy": figures.accuracy(runs),
        "leaderboard": figures.leaderboard(tables.leaderboard(published, found.accuracy)),
    }
    drawn, real = (results.of_each(job.config, job.inputs, kind) for kind in ("samples", "real"))
    for name in found.experiments:
        made[f"samples_{name}"] = _samples(drawn[name], real[name])
        made[f"classes_{name}"] = _classes(drawn[name], real[name])
    for name, figure in made.items():
        for ending in ("pdf", "png"):
            figures.save(figure, job.output(f"{name}_{ending}"))


def _samples(drawn: Path, real: Path) -> Figure:
    shown = mosaics.rows_shown(len(excerpt.titles_of(drawn)))
    sets = [excerpt.first_of_each_class(path, mosaics.COLUMNS, shown) for path in (drawn, real)]
    image_files.require_same_classes(drawn, sets[0], real, sets[1])
    return mosaics.samples(*sets)


def _classes(drawn: Path, real: Path) -> Figure:
    return mosaics.one_of_each(excerpt.first_of_each_class(drawn, 1, mosaics.MOST_CLASSES), excerpt.titles_of(real))


def main(argv: Sequence[str] | None = None) -> int:
    return program.run(stage, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
