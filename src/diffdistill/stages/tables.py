"""Reads the csv files of all targets and the published leaderboard; writes every table as csv, md and tex."""

import sys
from collections.abc import Sequence

from diffdistill.report import results, tables
from diffdistill.runtime import files, program


def stage(job: program.Job) -> None:
    found = results.read(job.config, job.inputs)
    published = results.table(job.input("leaderboard"), results.LEADERBOARD)
    made = {
        "models": tables.models(found),
        "generators": tables.generators(found),
        "accuracy": tables.accuracies(found.accuracy, found.baselines),
        "leaderboard": tables.leaderboard(published, found.accuracy),
    }
    for name, table in made.items():
        for ending, text in tables.texts(table).items():
            files.write_text(job.output(f"{name}_{ending}"), text)


def main(argv: Sequence[str] | None = None) -> int:
    return program.run(stage, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
