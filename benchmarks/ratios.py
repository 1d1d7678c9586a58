"""Every ratio that we claim, as tables: printed, and written to benchmarks/RESULTS.md.

python -m benchmarks.ratios [family ...]   families: see FAMILIES; all by default. Others keep their last table.

A run replaces the rows of its own class of processor; rows of other classes stay beside them.
"""

import importlib
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import measuring

FAMILIES = ("startup", "dry_run", "memory", "frechet", "inception", "sampling", "training", "evaluation")
RESULTS = Path(__file__).with_name("RESULTS.md")
HEAD = (
    "# Ratios\n\nWritten by `make bench`: reference and ours in turn on one machine, "
    f"{measuring.PAIRS} pairs per row.\n"
)


def section(last: str, lines: Sequence[str], machine: str) -> str:
    """A family's table and machines, with these lines in place of the last ones of the same class of processor."""
    classes = {_processor(line) for line in lines}
    kept = [line for line in re.findall(r"^\| (?!claim).*\|$", last, re.MULTILINE) if _processor(line) not in classes]
    machines = dict(re.findall(r"^(.+?): on (device .*)\.$", last, re.MULTILINE)) | dict.fromkeys(classes, machine)
    table = measuring.table([*kept, *lines])
    return "\n\n".join([table, *(f"{name}: on {machines[name]}." for name in sorted(machines))])


def _processor(line: str) -> str:
    return line.split("|")[3].strip()


def main(argv: Sequence[str] | None = None) -> int:
    parser = measuring.parser(__doc__)
    parser.add_argument("families", nargs="*", metavar="family", help=", ".join(FAMILIES))
    arguments = parser.parse_args(argv)
    if unknown := set(arguments.families) - {*FAMILIES}:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(FAMILIES)}")
    text = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else ""
    last = dict(re.findall(r"^## (\w+)\n\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    if arguments.toy:
        print(measuring.table([]), end="", flush=True)
    for name in arguments.families or FAMILIES:
        lines = []
        for row in importlib.import_module(f"benchmarks.{name}").rows(arguments.toy):
            print(row.line(), flush=True)
            lines.append(row.line())
        last[name] = section(last.get(name, ""), lines, measuring.machine())
    sections = [f"## {name}\n\n{last[name].strip()}\n" for name in FAMILIES if name in last]
    if not arguments.toy:
        RESULTS.write_text("\n".join([HEAD, *sections]), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
