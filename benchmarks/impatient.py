"""snakemake that looks every second whether its SLURM jobs have ended.

The plugin waits ten seconds longer after each look that found nothing new, and has no setting for it: on a cluster of
one node a job of six seconds is then found after 36.
"""

import sys

from snakemake import cli  # type: ignore[import-untyped]
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor  # type: ignore[import-untyped]

RemoteExecutor.next_seconds_between_status_checks = property(lambda self: 1, lambda self, seconds: None)
cli.main(sys.argv[1:])
