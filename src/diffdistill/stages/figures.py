"""Reads the csv files, samples and real images of all targets; writes every figure as pdf and png."""

import sys
from collections.abc import Sequence

import pandas as pd

from diffdistill.data import images as image_files
from diffdistill.report import figures, results, tables
from diffdistill.runtime import program


def stage(job: program.Job) -> None:
    found = results.read(job.config, job.inputs)
    runs = {name: pd.concat([found.accuracy[name], found.baselines[name]]) for name in found.experiments}
    made = {
        "fid_curve": figures.fid_curve(found.fid),
        "loss_curve": figures.loss_curve(found.loss),
        "accuracy": figures.accuracy(runs),
        "leaderboard": figures.leaderboard(tables.leaderboard(pd.read_csv(job.input("leaderboard")), found.accuracy)),
    }
    for name, drawn, real in zip(found.experiments, job.inputs["samples"], job.inputs["real"], strict=True):
        made[f"samples_{name}"] = figures.samples(image_files.load(drawn), image_files.load(real))
    for name, figure in made.items():
        for ending in ("pdf", "png"):
            figures.save(figure, job.output(f"{name}_{ending}"))


def main(argv: Sequence[str] | None = None) -> int:
    return program.run(stage, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
