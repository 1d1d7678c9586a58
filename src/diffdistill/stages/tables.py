"""Reads the csv files of all targets and the published leaderboard; writes every table as csv, md and tex."""

import sys
from collections.abc import Sequence

import pandas as pd

from diffdistill.report import results, tables
from diffdistill.runtime import files, program


def stage(job: program.Job) -> None:
    found = results.read(job.config, job.inputs)
    made = {
        "models": tables.models(found.experiments),
        "generators": tables.generators(found.experiments, found.fid, found.budget),
        "accuracy": tables.accuracies(found.accuracy, found.baselines),
        "leaderboard": tables.leaderboard(pd.read_csv(job.input("leaderboard")), found.accuracy),
    }
    for name, table in made.items():
        files.write_text(job.output(f"{name}_csv"), table.to_csv(index=False))
        files.write_text(job.output(f"{name}_md"), table.to_markdown(index=False) + "\n")
        files.write_text(job.output(f"{name}_tex"), table.to_latex(index=False, escape=True))


def main(argv: Sequence[str] | None = None) -> int:
    return program.run(stage, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
