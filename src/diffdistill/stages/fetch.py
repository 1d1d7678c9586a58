"""Reads addresses; writes the file they lead to, checked. The only stage that opens a connection."""

import sys

from diffdistill.config import stages
from diffdistill.data import fetching
from diffdistill.runtime.program import Job


def main(job: Job[stages.Fetch]) -> None:
    settings = job.settings
    fetching.fetch(
        settings.urls, settings.checksum, job.output("file"), unchecked=settings.unchecked,
        progress=sys.stderr.isatty(),
    )  # fmt: skip
