"""DPM-Solver (Lu et al. 2022, arXiv 2206.00927) and DPM-Solver++ (arXiv 2211.01095), as multistep and as singlestep."""

from torch import Tensor

from diffdistill.diffusion.solvers.grid import multistep_order, times
from diffdistill.diffusion.solvers.prediction import Space, phi


def multistep(space: Space, x: Tensor, grid: Tensor, order: int) -> Tensor:
    """DPM-Solver++ (2M) and (3M), arXiv 2211.01095, algorithm 2, and their noise-prediction twins."""
    steps = len(grid) - 1
    half_logsnr = space.schedule.half_logsnr(grid)
    seen: list[Tensor] = []  # the predictions at the last three times, newest first
    for i in range(steps):
        seen = [space.predict(x, grid[i]), *seen[:2]]
        now = multistep_order(i, steps, order)
        ratio, b_t, g = space.step(grid[i], grid[i + 1])
        phi_1, phi_2, phi_3, _ = phi(g)
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


def singlestep(space: Space, x: Tensor, grid: Tensor, orders: list[int], spacing: str) -> Tensor:
    """DPM-Solver-1, -2 and -3 one after the other (arXiv 2206.00927, algorithms 1 and 2)."""
    for i, order in enumerate(orders):
        s, t = grid[i], grid[i + 1]
        inner = times(space.schedule, s, t, order, spacing)
        half_logsnr = space.schedule.half_logsnr(inner)
        fractions = ((half_logsnr - half_logsnr[0]) / (half_logsnr[-1] - half_logsnr[0])).tolist()
        inner = space.schedule.time_of(half_logsnr)  # the sources place the inner times by half-logSNR
        ratio, b_t, g = space.step(s, t)
        phi_1, phi_2, *_ = phi(g)
        m = space.predict(x, s)
        end = ratio * x - b_t * phi_1 * m
        if order >= 2:
            r_1 = fractions[1]
            ratio_1, b_1, _ = space.step(s, inner[1])
            m_1 = space.predict(ratio_1 * x - b_1 * phi(r_1 * g)[0] * m, inner[1])
        if order == 2:
            end = end - 0.5 / r_1 * b_t * phi_1 * (m_1 - m)
        if order == 3:
            r_2 = fractions[2]
            ratio_2, b_2, _ = space.step(s, inner[2])
            phi_12, phi_22, *_ = phi(r_2 * g)
            x_2 = ratio_2 * x - b_2 * phi_12 * m - r_2 / r_1 * b_2 * phi_22 * (m_1 - m)
            end = end - 1 / r_2 * b_t * phi_2 * (space.predict(x_2, inner[2]) - m)
        x = end
    return x
