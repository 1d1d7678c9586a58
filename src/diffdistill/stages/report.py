"""Reads tables, figures and accounts of all targets; writes report.html, one self-contained page, and its summary."""

import logging
import sys
from collections.abc import Sequence

import pandas as pd

from diffdistill.report import page, results, tables
from diffdistill.runtime import files, program

logger = logging.getLogger("diffdistill")


def stage(job: program.Job) -> None:
    found = results.read(job.config, job.inputs)
    pictures = {name.removesuffix("_png"): paths[0] for name, paths in job.inputs.items() if name.endswith("_png")}
    shown = {
        "Accuracy": pd.read_csv(job.input("accuracy_csv")),
        "Generators": pd.read_csv(job.input("generators_csv")),
        "Models": pd.read_csv(job.input("models_csv")),
        "Leaderboard of the challenge": pd.read_csv(job.input("leaderboard_csv")),
    }
    files.write_text(job.output("page"), page.render(found, pictures, shown))
    summary = tables.summary(found.accuracy, found.baselines, str(job.output("page")))
    files.write_text(job.output("summary"), summary)
    for line in summary.splitlines():
        logger.info("%s", line)


def main(argv: Sequence[str] | None = None) -> int:
    return program.run(stage, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
