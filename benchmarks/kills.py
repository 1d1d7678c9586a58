"""Kills the stages of a tiny experiment at random moments, and compares what they make with an undisturbed run.

python -m benchmarks.kills --rounds 100: a round runs a stage and the tables made of it, each job killed by SIGKILL at
seeded random moments and started again by the same command until it finishes. Exits with 1 on any difference: another
bit (but for what a clock says), half a file under a final name, a row lost or doubled, a file left over.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from random import Random

from tests.faults.killing import CHAINS, through_kills, undisturbed
from tests.faults.running import make


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=len(CHAINS), help="of all stages together")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parser.parse_args(argv)
    rounds, failures = -(-arguments.rounds // len(CHAINS)), list[str]()
    with tempfile.TemporaryDirectory() as name:
        folder = make(Path(name) / "project")
        print("| stage | rounds | kills that hit | all identical |\n|---|---|---|---|")
        for stage, chain in CHAINS.items():
            expected, moments = undisturbed(chain, folder), Random(f"{arguments.seed} {stage}")
            hits, wrong = 0, list[str]()
            for _ in range(rounds):
                kills, found = through_kills(chain, folder, expected, moments)
                hits, wrong = hits + kills, [*wrong, *found]
            print(f"| {stage} | {rounds} | {hits} | {'no' if wrong else 'yes'} |", flush=True)
            failures += [f"{stage}: {one}" for one in dict.fromkeys(wrong)]
    print(*failures, sep="\n", end="\n" if failures else "")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
