"""Kills the stages of a tiny experiment at random moments, and compares what they write with an undisturbed run.

python -m benchmarks.kills --rounds 100: a round runs a stage and the tables made from it; each job is killed by SIGKILL
at seeded random moments and started again by the same command until it finishes. Exits with 1 on any difference: other
bits (apart from measured times), half a file under a final name, a row lost or duplicated, a file left over.
"""

import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from benchmarks import measuring
from benchmarks.processes import Process
from benchmarks.tiny import JOBS, MODEL, TRAIN, TRAIN_SET, Job, contents, make, remove, results, weights_job

MAX_KILLS = 3
"""Of one job in a row, after which it is left to finish."""


def _slice(end: int) -> Job:
    train = {**TRAIN, "iterations": 120, "slice_iterations": 60}
    before = [("before", f"long/{end - 60}.safetensors")] if end > 60 else []
    settings = {"model": MODEL, "train": train, "snapshot_every": 20, "until": end}
    return Job("train", settings, [("train", TRAIN_SET), *before], {"state": f"long/{end}.safetensors"})


CHAINS: Mapping[str, Sequence[Job]] = {
    "prepare": [JOBS["prepare"]],
    "train": [
        _slice(60), _slice(120),
        *(weights_job(step, f"long/{end}.safetensors", f"long/{step}.weights") for step, end in ((60, 60), (100, 120))),
        Job("history", {}, [("states", f"long/{end}.safetensors") for end in (60, 120)], {"table": "long/loss.csv"}),
    ],
    "fid": [*(JOBS[name].within("measurement", images=300) for name in ("fid", "fid on")), JOBS["checkpoint"]],
    "sample": [JOBS["sample"].within("sample", images=2000)],
    "evaluate": [*(JOBS[name].within("protocol", steps=30) for name in ("evaluate", "evaluate on")), JOBS["accuracy"]],
}  # fmt: skip
"""By stage: jobs that run one after the other, up to the tables made from what the stage writes."""


@dataclass(frozen=True)
class Undisturbed:
    """What a chain writes when nothing disturbs it."""

    results: dict[str, Any]
    files: set[str]
    """All in the folder."""
    seconds: list[float]
    """That each job takes."""


def undisturbed(chain: Sequence[Job], folder: Path) -> Undisturbed:
    """Run the chain in the folder of a tiny experiment."""
    seconds = []
    for job in chain:
        started = time.monotonic()
        ended = job.run(folder)
        assert ended.code == 0, ended.said
        seconds.append(time.monotonic() - started)
    return Undisturbed(results(folder, *chain), set(contents(folder)), seconds)


def through_kills(chain: Sequence[Job], folder: Path, expected: Undisturbed, moments: Random) -> tuple[int, list[str]]:
    """Write the chain's outputs again, each job killed several times: how many kills hit, and what is not as expected.

    After every kill, each file under its own name must be the undisturbed one; at the end, all files and no others.
    """
    kills, wrong = 0, list[str]()
    remove(folder, *chain)
    for job, seconds in zip(chain, expected.seconds, strict=True):
        ended, tried = None, 0
        while ended is None:
            process = Process(job.argv(), folder)
            ended = process.wait(moments.uniform(0, 1) * seconds if tried < MAX_KILLS else 120)
            if ended is None:
                kills, tried = kills + process.kill(), tried + 1
                wrong += _differing(results(folder, *chain), expected.results)
        if ended.code:
            return kills, [*wrong, f"{job.stage} ended with {ended.code}: {ended.said}"]
    found = results(folder, *chain)
    wrong += [f"{path} is missing" for path in expected.results.keys() - found.keys()]
    wrong += _differing(found, expected.results)
    wrong += [f"{path} is left over" for path in contents(folder).keys() - expected.files]
    return kills, wrong


def _differing(found: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    return [f"{path} differs" for path, result in found.items() if result != expected[path]]


def main(argv: Sequence[str] | None = None) -> int:
    parser = measuring.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=len(CHAINS), help="of all stages together")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parser.parse_args(argv)
    chains = {name: CHAINS[name] for name in ("prepare", "sample")} if arguments.toy else CHAINS
    rounds = 1 if arguments.toy else -(-arguments.rounds // len(chains))
    failures = list[str]()
    with tempfile.TemporaryDirectory() as name:
        folder = make(Path(name) / "project")
        print("| stage | rounds | kills that hit | all identical |\n|---|---|---|---|")
        for stage, chain in chains.items():
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
