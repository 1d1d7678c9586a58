"""Snakemake's logger plugin `diffdistill`, which Snakemake finds by this package's name: `--logger diffdistill`."""

from diffdistill.terminal.handler import LogHandler

__all__ = ["LogHandler"]
