"""Which checkpoints a job measures: where that takes less time than to start, all of a slice."""

from diffdistill.config import Ema, Experiment

SMALL = 100_000
"""Evaluations of the network, of one image each, up to which a measurement is small; the paper's takes 2,500,000."""


def jobs(one: Experiment) -> dict[str, list[Ema]]:
    """The EMA weights that each job measures, by the name of the last of them; none without FID."""
    if one.fid is None or one.train is None:
        return {}
    small = one.fid.images * one.fid.solver.nfe <= SMALL
    groups: dict[int | str, list[Ema]] = {}
    for ema in one.emas():
        groups.setdefault(one.train.slice_of(ema.step) if small else ema.name, []).append(ema)
    return {group[-1].name: group for group in groups.values()}
