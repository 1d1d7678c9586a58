"""Every ratio that we claim, as a table: printed, and written to benchmarks/RESULTS.md.

python -m benchmarks.ratios [family ...]   families: see FAMILIES; one alone is printed only
"""

import importlib
import sys
from pathlib import Path

from benchmarks import measuring

FAMILIES = ("startup", "dry_run", "memory", "frechet", "inception", "sampling", "training", "evaluation")


def main(names: list[str]) -> None:
    rows = []
    for name in names or FAMILIES:
        for row in importlib.import_module(f"benchmarks.{name}").rows():
            print(row.line(), flush=True)
            rows.append(row)
    text = (
        "# Ratios\n\nWritten by `make bench`: reference and ours in turn on one machine, "
        f"{measuring.PAIRS} pairs a row, on {measuring.machine()}.\n\n{measuring.table(rows)}\n"
    )
    print(f"\n{text}")
    if not names:
        Path(__file__).with_name("RESULTS.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
