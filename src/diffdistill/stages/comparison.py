"""Reads the trainings, measurements and files of several sets; writes their table, figure and page."""

from diffdistill.config import stages
from diffdistill.errors import about
from diffdistill.report import comparison, comparison_page, style
from diffdistill.runtime import files
from diffdistill.runtime.program import Job


def main(job: Job[stages.Comparison]) -> None:
    members = [comparison.read(name, one) for name, one in job.settings.sets.items()]
    with about(f"comparisons.{job.settings.name}"):
        table = comparison.judge(members)
    for ending, text in comparison_page.texts(table).items():
        files.write_text(job.output(ending), text)
    figure = comparison_page.figure(members, table)
    for ending in ("pdf", "png"):
        style.save(figure, job.output(ending))
    page = comparison_page.page(job.settings.name, members, table, job.output("png"))
    files.write_text(job.output("page"), page)
