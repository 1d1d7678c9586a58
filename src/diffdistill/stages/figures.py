"""Reads the csv files, samples and real images of all targets; writes every figure as pdf and png."""

import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from diffdistill.data import images as image_files
from diffdistill.errors import UserError
from diffdistill.report import excerpt, figures, results, tables
from diffdistill.runtime import program


def stage(job: program.Job) -> None:
    found = results.read(job.config, job.inputs)
    published = results.table(job.input("leaderboard"), results.LEADERBOARD)
    runs = {name: pd.concat([found.accuracy[name], found.baselines[name]]) for name in found.experiments}
    made = {
        "fid_curve": figures.fid_curve(found.fid),
        "loss_curve": figures.loss_curve(found.loss),
        "accuracy": figures.accuracy(runs),
        "leaderboard": figures.leaderboard(tables.leaderboard(published, found.accuracy)),
    }
    for place, name in enumerate(found.experiments):
        made[f"samples_{name}"] = _samples(*(_of(job, kind, place) for kind in ("samples", "real")))
    for name, figure in made.items():
        for ending in ("pdf", "png"):
            figures.save(figure, job.output(f"{name}_{ending}"))


def _of(job: program.Job, kind: str, place: int) -> Path:
    paths = job.inputs.get(kind, [])
    if len(paths) != len(job.config["experiments"]):
        raise UserError(f"--in {kind}=…: {len(paths)} files for {len(job.config['experiments'])} experiments")
    return paths[place]


def _samples(drawn: Path, real: Path) -> Figure:
    sets = [excerpt.first_of_each_class(path, figures.COLUMNS, figures.MOST_CLASSES) for path in (drawn, real)]
    image_files.require_same_classes(drawn, sets[0], real, sets[1])
    return figures.samples(*sets)


def main(argv: Sequence[str] | None = None) -> int:
    return program.run(stage, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
