"""Which checkpoints a job measures: where that takes less time than to start, all of a slice."""

from diffdistill.config import Ema, Experiment

SMALL = 100_000
"""Evaluations of the network on one image, for all checkpoints of a slice; each of the paper's takes 2,500,000."""


def jobs(one: Experiment) -> dict[str, list[Ema]]:
    """The EMA weights that each job measures, by the name of the last of them; none without FID."""
    if one.fid is None or one.train is None:
        return {}
    slices: dict[int, list[Ema]] = {}
    for ema in one.emas():
        slices.setdefault(one.train.slice_of(ema.step), []).append(ema)
    most = max(1, SMALL // (one.fid.images * one.fid.solver.nfe))
    groups: list[list[Ema]] = []
    for emas in slices.values():
        groups += [emas] if len(emas) <= most else [[ema] for ema in emas]
    return {group[-1].name: group for group in groups}
