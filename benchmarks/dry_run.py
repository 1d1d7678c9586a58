"""`snakemake -n all` against snakemake itself: as many rules and jobs, all empty."""

import re
import sys
import tempfile
from pathlib import Path

from benchmarks.measuring import PAIRS, Row, in_turn, run

REPOSITORY = Path(__file__).parents[1]
SNAKEMAKE = [sys.executable, "-m", "snakemake", "-n"]
EMPTY = """
rule empty_{number}:
    output: "{number}.{{name}}"
    shell: "touch {{output}}"
"""


def rows(toy: bool = False) -> list[Row]:
    target = "demo" if toy else "all"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "ours").mkdir()
        (folder / "ours" / "resources").symlink_to(REPOSITORY / "resources")
        place = ["--directory", str(folder / "ours"), "--snakefile", str(REPOSITORY / "workflow" / "Snakefile")]
        ours = [*SNAKEMAKE, target, *place, "--configfile", str(REPOSITORY / "config.yaml")]
        rules = len(run([*ours, "--list-rules"]).split())
        jobs = int(re.findall(r"^total +(\d+)", run(ours), re.MULTILINE)[-1])
        wanted = ", ".join(f'"{number % rules}.job{number}"' for number in range(jobs))
        text = f"rule all:\n    input: {wanted}\n" + "".join(EMPTY.format(number=number) for number in range(rules))
        (folder / "Snakefile").write_text(text)
        pairs = in_turn(
            lambda: run([*SNAKEMAKE, "all"], folder), lambda: run(ours), 1 if toy else PAIRS, warm_up=not toy
        )
    ratios = [mine / theirs for theirs, mine in pairs]
    claim = f"snakemake -n {target}, {rules} rules and {jobs} jobs"
    return [Row(claim, "as many empty rules and jobs", 1.6, ratios, at_most=True)]
