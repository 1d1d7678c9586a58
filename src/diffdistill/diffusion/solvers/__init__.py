"""Solvers behind one `solve`: functions that remember nothing between calls.

A solver is a function in a module of its own, an entry in the registry below, and its abilities in config.SOLVERS.
"""

from collections.abc import Callable, Mapping
from itertools import accumulate

import torch
from torch import Tensor

from diffdistill.config import Solver
from diffdistill.diffusion.schedule import VPSchedule
from diffdistill.diffusion.solvers import dpm, ipndm, unipc
from diffdistill.diffusion.solvers.ancestral import ancestral
from diffdistill.diffusion.solvers.few_step import few_step
from diffdistill.diffusion.solvers.grid import singlestep_orders, times
from diffdistill.diffusion.solvers.prediction import NoiseFn, Space

__all__ = ["Fresh", "ancestral", "few_step", "singlestep_orders", "solve", "times"]

Fresh = Callable[[int], Tensor]
"""The number of a step -> standard normal noise for it, like x."""
Solve = Callable[[NoiseFn, Tensor, VPSchedule, Solver, Fresh], Tensor]
"""(noise_fn, x_T, schedule, settings, fresh) -> x at the end, with exactly settings.nfe network calls"""
Multistep = Callable[[Space, Tensor, Tensor, int], Tensor]
"""(space, x_T, times, order) -> x at the last of the times"""


def solve(
    noise_fn: NoiseFn, x_T: Tensor, schedule: VPSchedule, solver: Solver, *, fresh: Fresh | None = None
) -> Tensor:
    """x at t_end from x_T (B, C, H, W) at time 1, in the dtype of x_T, with exactly `solver.nfe` network calls.

    fresh: noise for the solvers that add some, ancestral and consistency; these raise ValueError without it.
    """

    def missing(step: int) -> Tensor:
        raise ValueError(f"{solver.algorithm} adds noise; give fresh")

    return SOLVERS[solver.algorithm](noise_fn, x_T, schedule, solver, missing if fresh is None else fresh)


def _ode(multistep: Multistep, *, data: bool) -> Solve:
    """A solver of the probability-flow ODE on a grid of times; data: in the space of data prediction."""

    def solve(noise_fn: NoiseFn, x_T: Tensor, schedule: VPSchedule, solver: Solver, fresh: Fresh) -> Tensor:
        space = Space(noise_fn, schedule, data=data)
        # the grid is computed in float64 on the CPU: it is the same for every device and dtype of x
        start, end = torch.tensor([1.0, solver.t_end], dtype=torch.float64)
        if solver.method == "singlestep":
            orders = singlestep_orders(solver.nfe, solver.order)
            if solver.spacing == "logsnr":
                grid = times(schedule, start, end, len(orders), solver.spacing)
            else:
                grid = times(schedule, start, end, solver.nfe, solver.spacing)[list(accumulate(orders, initial=0))]
            return dpm.singlestep(space, x_T, grid, orders, solver.spacing)
        return multistep(space, x_T, times(schedule, start, end, solver.nfe, solver.spacing), solver.order)

    return solve


SOLVERS: Mapping[str, Solve] = {
    "dpmsolver++": _ode(dpm.multistep, data=True),
    "dpmsolver": _ode(dpm.multistep, data=False),
    "unipc": _ode(unipc.multistep, data=True),
    "ipndm": _ode(ipndm.multistep, data=False),
    "ancestral": lambda noise_fn, x_T, schedule, solver, fresh: ancestral(
        noise_fn, x_T, schedule, nfe=solver.nfe, t_end=solver.t_end, fresh=fresh
    ),
    "consistency": lambda noise_fn, x_T, schedule, solver, fresh: few_step(
        noise_fn, x_T, schedule, nfe=solver.nfe, fresh=fresh
    ),
}
"""By the `algorithm` of the settings."""
