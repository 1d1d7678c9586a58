"""`python -m diffdistill STAGE`: the one entry point of all stages."""

import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

from diffdistill.config.stages import STAGES
from diffdistill.runtime import program


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage that the first argument names; its exit code. 2 for an unknown stage or wrong settings."""
    name, *arguments = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if name in ("-h", "--help"):
        print(_usage())
        return 0
    if name not in STAGES:
        print(f"unknown stage '{name}'\n\n{_usage()}", file=sys.stderr)
        return 2

    def stage() -> Callable[[program.Job[Any]], None]:
        module = importlib.import_module(f"diffdistill.stages.{name}")
        return module.main  # type: ignore[no-any-return]

    return program.run(name, stage, STAGES[name], arguments)


def _usage() -> str:
    width = max(map(len, STAGES))
    stages = "\n".join(f"  {name:<{width}}  {settings.__doc__}" for name, settings in STAGES.items())
    return (
        "usage: python -m diffdistill STAGE [--settings JSON | --settings-file PATH] [--in NAME=PATH ...] "
        f"[--out NAME=PATH ...] [--log PATH] [--threads N]\n\nstages (STAGE --help prints its settings):\n{stages}"
    )


if __name__ == "__main__":
    sys.exit(main())
