"""Solvers of the probability-flow equation, and the ancestral sampler.

DPM-Solver (Lu et al. 2022, arXiv 2206.00927) integrates the noise prediction, DPM-Solver++ (arXiv 2211.01095) the data
prediction. Both are one formula: with (a, b, g) = (alpha, sigma, h) for noise and (sigma, alpha, -h) for data, where
h = lambda_t - lambda_s, a first-order step is x_t = a_t / a_s x_s - b_t expm1(g) m_s. m is the model's prediction.
"""

from collections.abc import Callable
from itertools import accumulate

import torch
from torch import Tensor

from diffdistill.diffusion.schedule import VPSchedule

NoiseFn = Callable[[Tensor, Tensor], Tensor]
"""(x (B, C, H, W), t (B,)) -> predicted noise (B, C, H, W)"""


def times(schedule: VPSchedule, start: Tensor, end: Tensor, count: int, spacing: str) -> Tensor:
    """count + 1 times from start to end, uniform in half-logSNR or in time."""
    if spacing == "time":
        grid = torch.linspace(0, 1, count + 1, dtype=start.dtype, device=start.device)
        return start + (end - start) * grid
    if spacing != "logsnr":
        raise ValueError(f"spacing must be 'logsnr' or 'time', found {spacing!r}")
    first, last = schedule.half_logsnr(start), schedule.half_logsnr(end)
    inner = schedule.time_of(first + (last - first) * torch.linspace(0, 1, count + 1, dtype=start.dtype)[1:-1])
    return torch.cat([start[None], inner, end[None]])


def singlestep_orders(steps: int, order: int) -> list[int]:
    """The orders of successive steps that together call the network `steps` times (arXiv 2206.00927, appendix D.5)."""
    groups, rest = divmod(steps, order)
    if order == 3 and rest == 0:
        return [3] * (groups - 1) + [2, 1]
    return [order] * groups + ([rest] if rest else [])


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

    Raises ValueError for steps < 1, order not in 1..3, t_end not in (0, 1), or an unknown algorithm, method or spacing.
    """
    if steps < 1 or order not in (1, 2, 3) or not 0 < t_end < 1:
        raise ValueError(f"need steps >= 1, order 1 to 3 and t_end in (0, 1); found {steps}, {order}, {t_end}")
    if algorithm not in ("dpmsolver", "dpmsolver++") or method not in ("multistep", "singlestep"):
        raise ValueError(f"unknown algorithm {algorithm!r} or method {method!r}")
    space = _Space(noise_fn, schedule, data=algorithm == "dpmsolver++")
    # the grid is computed in float64 on the CPU: it is the same for every device and dtype of x
    ends = torch.tensor([1.0, t_end], dtype=torch.float64)
    if method == "singlestep":
        orders = singlestep_orders(steps, order)
        if spacing == "logsnr":
            grid = times(schedule, ends[0], ends[1], len(orders), spacing)
        else:
            grid = times(schedule, ends[0], ends[1], steps, spacing)[list(accumulate(orders, initial=0))]
        return _singlestep(space, x_T, grid, orders, spacing)
    return _multistep(space, x_T, times(schedule, ends[0], ends[1], steps, spacing), order)


class _Space:
    """Noise or data prediction, and the coefficients of a step in it; holds no state between steps."""

    def __init__(self, noise_fn: NoiseFn, schedule: VPSchedule, data: bool) -> None:
        self.noise_fn, self.schedule, self.data = noise_fn, schedule, data

    def predict(self, x: Tensor, t: Tensor) -> Tensor:
        noise = self.noise_fn(x, t.to(x).expand(len(x)))
        if not self.data:
            return noise
        return (x - float(self.schedule.sigma(t)) * noise) / float(self.schedule.alpha(t))

    def step(self, s: Tensor, t: Tensor) -> tuple[float, float, float]:
        """(a_t / a_s, b_t, g) of a step from time s to time t."""
        h = float(self.schedule.half_logsnr(t) - self.schedule.half_logsnr(s))
        alpha_t, sigma_t = float(self.schedule.alpha(t)), float(self.schedule.sigma(t))
        if self.data:
            return sigma_t / float(self.schedule.sigma(s)), alpha_t, -h
        return alpha_t / float(self.schedule.alpha(s)), sigma_t, h


def _phi(g: float) -> tuple[float, float, float]:
    """phi_1 = e^g - 1, phi_2 = phi_1 / g - 1, phi_3 = phi_2 / g - 1/2."""
    phi_1 = float(torch.expm1(torch.tensor(g, dtype=torch.float64)))
    phi_2 = phi_1 / g - 1
    return phi_1, phi_2, phi_2 / g - 0.5


def _multistep(space: _Space, x: Tensor, grid: Tensor, order: int) -> Tensor:
    """DPM-Solver++ (2M) and (3M), arXiv 2211.01095, algorithm 2, and their noise-prediction twins."""
    steps = len(grid) - 1
    half_logsnr = space.schedule.half_logsnr(grid)
    seen: list[Tensor] = []  # the predictions at the last three times, newest first
    for i in range(steps):
        seen = [space.predict(x, grid[i]), *seen[:2]]
        # the first steps lack history; few-step runs end at lower order, which is more stable
        now = min(order, i + 1, steps - i if steps < 10 else order)
        ratio, b_t, g = space.step(grid[i], grid[i + 1])
        phi_1, phi_2, phi_3 = _phi(g)
        h = float(half_logsnr[i + 1] - half_logsnr[i])
        m = seen[0]
        x = ratio * x - b_t * phi_1 * m
        if now == 1:
            continue
        r_0 = float(half_logsnr[i] - half_logsnr[i - 1]) / h
        d_0 = (m - seen[1]) / r_0
        if now == 2:
            x = x - 0.5 * b_t * phi_1 * d_0
            continue
        r_1 = float(half_logsnr[i - 1] - half_logsnr[i - 2]) / h
        d_1 = (seen[1] - seen[2]) / r_1
        second = (d_0 - d_1) / (r_0 + r_1)
        x = x - b_t * phi_2 * (d_0 + r_0 * second) - b_t * phi_3 * second
    return x


def _singlestep(space: _Space, x: Tensor, grid: Tensor, orders: list[int], spacing: str) -> Tensor:
    """DPM-Solver-1, -2 and -3 one after the other (arXiv 2206.00927, algorithms 1 and 2)."""
    for i, order in enumerate(orders):
        s, t = grid[i], grid[i + 1]
        inner = times(space.schedule, s, t, order, spacing)
        half_logsnr = space.schedule.half_logsnr(inner)
        fractions = ((half_logsnr - half_logsnr[0]) / (half_logsnr[-1] - half_logsnr[0])).tolist()
        inner = space.schedule.time_of(half_logsnr)  # the sources place the inner times by half-logSNR
        ratio, b_t, g = space.step(s, t)
        phi_1, phi_2, _ = _phi(g)
        m = space.predict(x, s)
        end = ratio * x - b_t * phi_1 * m
        if order >= 2:
            r_1 = fractions[1]
            ratio_1, b_1, _ = space.step(s, inner[1])
            m_1 = space.predict(ratio_1 * x - b_1 * _phi(r_1 * g)[0] * m, inner[1])
        if order == 2:
            end = end - 0.5 / r_1 * b_t * phi_1 * (m_1 - m)
        if order == 3:
            r_2 = fractions[2]
            ratio_2, b_2, _ = space.step(s, inner[2])
            phi_12, phi_22, _ = _phi(r_2 * g)
            x_2 = ratio_2 * x - b_2 * phi_12 * m - r_2 / r_1 * b_2 * phi_22 * (m_1 - m)
            end = end - 1 / r_2 * b_t * phi_2 * (space.predict(x_2, inner[2]) - m)
        x = end
    return x


def ancestral(
    noise_fn: NoiseFn, x_T: Tensor, schedule: VPSchedule, *, steps: int, t_end: float, fresh: Callable[[int], Tensor]
) -> Tensor:
    """The backward process of Ho et al. 2020 (arXiv 2006.11239), the paper's equation 10, on uniform times.

    mean = (x_t - beta_t / sqrt(1 - abar_t) eps) / sqrt(alpha_t), alpha_t = abar_t / abar_{t-1}, beta_t = 1 - alpha_t;
    the variance is that of q(x_{t-1} | x_t, x_0). fresh(i) gives the noise of step i, like x_T. Calls: `steps`.
    Raises ValueError for steps < 1 or t_end not in (0, 1).
    """
    if steps < 1 or not 0 < t_end < 1:
        raise ValueError(f"need steps >= 1 and t_end in (0, 1); found {steps}, {t_end}")
    grid = torch.linspace(1.0, t_end, steps + 1, dtype=torch.float64)
    abar = schedule.alpha(grid) ** 2
    x = x_T
    for i in range(steps):
        alpha_t = float(abar[i] / abar[i + 1])
        beta_t, left = 1 - alpha_t, float(1 - abar[i])
        noise = noise_fn(x, grid[i].to(x).expand(len(x)))
        x = (x - beta_t / left**0.5 * noise) / alpha_t**0.5
        if i + 1 < steps:  # the last mean is the image
            x = x + (float(1 - abar[i + 1]) / left * beta_t) ** 0.5 * fresh(i)
    return x
