"""The console command `diffdistill`. Each sub-command imports what it needs: `run` starts without torch."""

import sys
from collections.abc import Sequence

from diffdistill.errors import UserError

USAGE = """usage: diffdistill COMMAND ...

  init PATH   inspect a folder of pictures and write an experiment for it (init --help)
  run ...     snakemake with the workflow of this package; arguments are snakemake's:
              run --configfile mine.yaml, run -n --configfile mine.yaml

one stage of the workflow by hand: python -m diffdistill STAGE --help
"""


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code; 2 for what the user can fix, with one line on stderr."""
    name, *arguments = (sys.argv[1:] if argv is None else argv) or ["--help"]
    try:
        if name == "init":
            from diffdistill.commands import init

            return init.main(arguments)
        if name == "run":
            from diffdistill.commands import run

            return run.main(arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    if name in ("-h", "--help"):
        print(USAGE, end="")
        return 0
    print(f"error: unknown command '{name}'; known: init, run", file=sys.stderr)
    return 2
