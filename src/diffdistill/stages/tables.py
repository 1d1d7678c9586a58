"""Reads the files of the experiments of a report; writes its tables into one folder, as csv, md and tex."""

from pathlib import Path

from diffdistill.config import stages
from diffdistill.report import columns, parts, results
from diffdistill.runtime import files
from diffdistill.runtime.program import Job


def main(job: Job[stages.Report]) -> None:
    experiments = results.read_all(job.settings.experiments)
    published = results.table(Path(job.settings.leaderboard), results.LEADERBOARD)
    with files.replacing_folder(job.output("folder")) as folder:
        for name, table in parts.make_tables(experiments, published):
            for ending, text in columns.texts(table).items():
                files.write_text(folder / f"{name}.{ending}", text)
