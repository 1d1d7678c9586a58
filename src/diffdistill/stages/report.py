"""Reads tables, figures and accounts of all targets; writes report.html, one self-contained page, and its summary."""

import logging
import sys
from collections.abc import Sequence

from diffdistill.report import excerpt, page, results, tables
from diffdistill.runtime import files, program

logger = logging.getLogger("diffdistill")

TABLES = {"accuracy": "Accuracy", "generators": "Generators", "models": "Networks", "leaderboard": page.LEADERBOARD}


def stage(job: program.Job) -> None:
    found = results.read(job.config, job.inputs)
    pictures = {name.removesuffix("_png"): job.input(name) for name in job.inputs if name.endswith("_png")}
    shown = {title: results.table(job.input(f"{name}_csv")) for name, title in TABLES.items()}
    real = results.of_each(job.config, job.inputs, "real")
    names = {name: excerpt.titles_of(path) for name, path in real.items()}
    studies = {
        name: {
            "What it says": results.table(job.input(f"findings_{name}")),
            "Every training": results.table(job.input(f"study_{name}")),
        }
        for name in found.experiments
        if f"study_{name}" in job.inputs
    }
    audits = {
        name: files.read_record(path, "flagged", "nearest", "membership")
        for name, path in results.of_each(job.config, job.inputs, "audit").items()
    }
    files.write_text(job.output("page"), page.render(found, pictures, shown, names, studies, audits))
    summary = tables.summary(found.accuracy, found.baselines, str(job.output("page")))
    files.write_text(job.output("summary"), summary)
    for line in summary.splitlines():
        logger.info("%s", line)


def main(argv: Sequence[str] | None = None) -> int:
    return program.run(stage, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
