"""The command line of a stage, built from its typed settings; the benchmarks use it too."""

from benchmarks.command import arguments, main, pairs, run

__all__ = ["arguments", "main", "pairs", "run"]
