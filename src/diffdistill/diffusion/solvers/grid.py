"""The times that a solver visits, and the order of each of its steps."""

import torch
from torch import Tensor

from diffdistill.diffusion.schedule import VPSchedule

RHO = 7.0


def times(schedule: VPSchedule, start: Tensor, end: Tensor, count: int, spacing: str) -> Tensor:
    """count + 1 times from start to end: uniform in half-logSNR, in time, or in (sigma_t / alpha_t)^(1/7).

    The last is `rho`: Karras et al. 2022 (arXiv 2206.00364), equation 5. Raises ValueError for another spacing.
    """
    grid = torch.linspace(0, 1, count + 1, dtype=start.dtype, device=start.device)
    if spacing == "time":
        return start + (end - start) * grid
    first, last = schedule.half_logsnr(start), schedule.half_logsnr(end)
    if spacing == "logsnr":
        half_logsnr = first + (last - first) * grid
    elif spacing == "rho":
        first, last = torch.exp(-first / RHO), torch.exp(-last / RHO)
        half_logsnr = -RHO * torch.log(first + (last - first) * grid)
    else:
        raise ValueError(f"spacing must be 'logsnr', 'time' or 'rho', found {spacing!r}")
    return torch.cat([start[None], schedule.time_of(half_logsnr[1:-1]), end[None]])


def singlestep_orders(steps: int, order: int) -> list[int]:
    """The orders of successive steps that together call the network `steps` times (arXiv 2206.00927, appendix D.5)."""
    groups, rest = divmod(steps, order)
    if order == 3 and rest == 0:
        return [3] * (groups - 1) + [2, 1]
    return [order] * groups + ([rest] if rest else [])


def multistep_order(step: int, steps: int, order: int) -> int:
    """The first steps lack history; few-step runs end at lower order, which is more stable (arXiv 2211.01095)."""
    return min(order, step + 1, steps - step if steps < 10 else order)
