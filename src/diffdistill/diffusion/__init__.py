"""The diffusion model: schedule, network, loss, solvers, average of weights."""
