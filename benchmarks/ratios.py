"""Every ratio that we claim, as tables: printed, and written to benchmarks/RESULTS.md.

python -m benchmarks.ratios [family ...]   families: see FAMILIES, all of them if none; others keep their last table
"""

import importlib
import re
import sys
from pathlib import Path

from benchmarks import measuring

FAMILIES = ("startup", "dry_run", "memory", "frechet", "inception", "sampling", "training", "evaluation")
RESULTS = Path(__file__).with_name("RESULTS.md")
HEAD = (
    f"# Ratios\n\nWritten by `make bench`: reference and ours in turn on one machine, {measuring.PAIRS} pairs a row.\n"
)


def main(names: list[str]) -> None:
    text = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else ""
    last = dict(re.findall(r"^## (\w+)\n\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    for name in names or FAMILIES:
        rows = []
        for row in importlib.import_module(f"benchmarks.{name}").rows():
            print(row.line(), flush=True)
            rows.append(row)
        last[name] = f"{measuring.table(rows)}\n\nOn {measuring.machine()}.\n\n"
    sections = [f"## {name}\n\n{last[name]}" for name in FAMILIES if name in last]
    RESULTS.write_text("\n".join([HEAD, *sections]).rstrip().replace("\n\n\n", "\n\n") + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
