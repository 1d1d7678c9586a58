"""Reads addresses; writes the archive they lead to, checked. The only stage that opens a connection."""

import sys
from collections.abc import Sequence

from diffdistill.data import fetching
from diffdistill.runtime import program


def stage(job: program.Job) -> None:
    fetching.fetch(
        job.config["urls"], job.config["checksum"], job.output("file"),
        unchecked=job.config["unchecked"], progress=sys.stderr.isatty(),
    )  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    return program.run(stage, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
