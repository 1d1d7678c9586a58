"""Reads tables, figures and files of the experiments; writes report.html, one self-contained page, and a summary."""

import logging

from diffdistill.config import stages
from diffdistill.report import page, results, summary
from diffdistill.runtime import files
from diffdistill.runtime.program import Job

logger = logging.getLogger(__name__)


def main(job: Job[stages.Report]) -> None:
    experiments = results.read_all(job.settings.experiments)
    for experiment in experiments.values():
        images = experiment.distilled or experiment.samples
        if images is not None and images.empty_classes:
            logger.warning("%s: %d classes have no image", images.path, len(images.empty_classes))
    files.write_text(job.output("page"), page.render(experiments, job.input("tables"), job.input("figures")))
    text = summary.text(experiments, job.output("page"))
    files.write_text(job.output("summary"), text)
    for line in text.splitlines():
        logger.info("%s", line)
