"""Reads the table of a study; writes its means, what they say, and the curve of accuracy by number of images."""

import sys
from collections.abc import Sequence

from diffdistill.report import figures, results, study, study_figure, tables
from diffdistill.runtime import files, program


def stage(job: program.Job) -> None:
    runs = results.table(job.input("study"), study.COLUMNS)
    for name, table in {"study": study.means(runs), "findings": study.findings(runs)}.items():
        for ending, text in tables.texts(table).items():
            files.write_text(job.output(f"{name}_{ending}"), text)
    figure = study_figure.curve(runs)
    for ending in ("pdf", "png"):
        figures.save(figure, job.output(f"figure_{ending}"))


def main(argv: Sequence[str] | None = None) -> int:
    return program.run(stage, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
