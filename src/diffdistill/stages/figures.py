"""Reads the files of the experiments of a report; writes its figures into one folder, as pdf and png."""

from pathlib import Path

from diffdistill.config import stages
from diffdistill.report import parts, results, style
from diffdistill.runtime import files
from diffdistill.runtime.program import Job


def main(job: Job[stages.Report]) -> None:
    experiments = results.read_all(job.settings.experiments)
    published = results.table(Path(job.settings.leaderboard), results.LEADERBOARD)
    with files.replacing_folder(job.output("folder")) as folder:
        for name, figure in parts.make_figures(experiments, published):
            for ending in ("pdf", "png"):
                style.save(figure, folder / f"{name}.{ending}")
