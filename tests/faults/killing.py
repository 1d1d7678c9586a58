"""Jobs that are killed at random moments and started again by the same command, until they finish."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from tests.faults.running import JOBS, MODEL, TRAIN, TRAIN_SET, Job, Process, contents, remove, results, weights_job

MOST_KILLS = 3
"""Of one job in a row, after which it is left to finish."""


def _slice(end: int) -> Job:
    train = {**TRAIN, "iterations": 120, "slice_iterations": 60}
    before = [("before", f"long/{end - 60}.safetensors")] if end > 60 else []
    config = {"model": MODEL, "train": train, "snapshot_every": 20, "until": end}
    return Job("train", config, [("train", TRAIN_SET), *before], {"state": f"long/{end}.safetensors"})


CHAINS = {
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
"""By stage: jobs that run one after the other, up to the tables made of what the stage writes."""


@dataclass(frozen=True)
class Undisturbed:
    """What a chain makes when nothing disturbs it."""

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
    """Make the chain's outputs anew, each job killed again and again: how many kills hit, and what is not as expected.

    After every kill, each file under its own name must be the undisturbed one; at the end, all files and no others.
    """
    kills, wrong = 0, list[str]()
    remove(folder, *chain)
    for job, seconds in zip(chain, expected.seconds, strict=True):
        ended, tried = None, 0
        while ended is None:
            process = Process(job.argv(), folder)
            ended = process.wait(moments.uniform(0, 1) * seconds if tried < MOST_KILLS else 120)
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
