"""The diffusion model: denoiser, networks, schedule, training, guidance and solvers."""
