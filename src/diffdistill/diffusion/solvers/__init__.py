"""Solvers of the probability-flow equation behind one `solve`: functions that remember nothing between calls."""

from itertools import accumulate

import torch
from torch import Tensor

from diffdistill.diffusion.schedule import VPSchedule
from diffdistill.diffusion.solvers import dpm, ipndm, unipc
from diffdistill.diffusion.solvers.ancestral import ancestral
from diffdistill.diffusion.solvers.consistency import consistency
from diffdistill.diffusion.solvers.grid import singlestep_orders, times
from diffdistill.diffusion.solvers.prediction import NoiseFn, Space

__all__ = ["HIGHEST_ORDER", "ancestral", "consistency", "singlestep_orders", "solve", "times"]

HIGHEST_ORDER = {"dpmsolver++": 3, "dpmsolver": 3, "unipc": 3, "ipndm": 4}


def solve(
    noise_fn: NoiseFn,
    x_T: Tensor,
    schedule: VPSchedule,
    *,
    steps: int,
    order: int,
    algorithm: str = "dpmsolver++",
    method: str = "multistep",
    spacing: str = "logsnr",
    t_end: float = 1e-3,
) -> Tensor:
    """x at t_end from x_T (B, C, H, W) at time 1, in the dtype of x_T, with exactly `steps` network calls.

    algorithm: one of HIGHEST_ORDER. Raises ValueError for steps < 1, an order below 1 or above the algorithm's highest,
    t_end not in (0, 1), or an unknown algorithm, method or spacing; `singlestep` is for the two DPM-Solvers.
    """
    if algorithm not in HIGHEST_ORDER or method not in ("multistep", "singlestep"):
        raise ValueError(f"unknown algorithm {algorithm!r} or method {method!r}")
    if steps < 1 or not 1 <= order <= HIGHEST_ORDER[algorithm] or not 0 < t_end < 1:
        raise ValueError(
            f"{algorithm} needs steps >= 1, order 1 to {HIGHEST_ORDER[algorithm]} and t_end in (0, 1); "
            f"found {steps}, {order}, {t_end}"
        )
    space = Space(noise_fn, schedule, data=algorithm in ("dpmsolver++", "unipc"))
    # the grid is computed in float64 on the CPU: it is the same for every device and dtype of x
    ends = torch.tensor([1.0, t_end], dtype=torch.float64)
    if method == "singlestep":
        if algorithm not in ("dpmsolver", "dpmsolver++"):
            raise ValueError(f"{algorithm} is a multistep solver, found method {method!r}")
        orders = singlestep_orders(steps, order)
        if spacing == "logsnr":
            grid = times(schedule, ends[0], ends[1], len(orders), spacing)
        else:
            grid = times(schedule, ends[0], ends[1], steps, spacing)[list(accumulate(orders, initial=0))]
        return dpm.singlestep(space, x_T, grid, orders, spacing)
    multistep = {"unipc": unipc.multistep, "ipndm": ipndm.multistep}.get(algorithm, dpm.multistep)
    return multistep(space, x_T, times(schedule, ends[0], ends[1], steps, spacing), order)
