"""The variance-preserving noise schedule that loss and solvers share.

An image x_0 at time t in [0, 1] is x_t = alpha_t x_0 + sigma_t eps with alpha_t^2 + sigma_t^2 = 1;
lambda_t = log(alpha_t / sigma_t) is half the log of the signal-to-noise ratio and falls as t grows.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class VPSchedule:
    """beta(t) = beta_min + t (beta_max - beta_min): Song et al. 2021 (arXiv 2011.13456), equation 32."""

    beta_min: float = 0.1
    beta_max: float = 20.0

    def log_alpha(self, t: Tensor) -> Tensor:
        """log alpha_t = -t^2 (beta_max - beta_min) / 4 - t beta_min / 2 (same source, equation 33)."""
        return -0.25 * t**2 * (self.beta_max - self.beta_min) - 0.5 * t * self.beta_min

    def alpha(self, t: Tensor) -> Tensor:
        """Factor of the image, of the shape and dtype of t."""
        return torch.exp(self.log_alpha(t))

    def sigma(self, t: Tensor) -> Tensor:
        """Standard deviation of the noise, of the shape and dtype of t."""
        return torch.sqrt(-torch.expm1(2 * self.log_alpha(t)))

    def half_logsnr(self, t: Tensor) -> Tensor:
        """lambda_t, of the shape and dtype of t; infinite at t = 0."""
        log_alpha = self.log_alpha(t)
        return log_alpha - 0.5 * torch.log(-torch.expm1(2 * log_alpha))

    def time_of(self, half_logsnr: Tensor) -> Tensor:
        """The inverse of half_logsnr, in closed form (Lu et al. 2022, arXiv 2206.00927, appendix D.4)."""
        span = self.beta_max - self.beta_min
        # -2 log alpha = log(1 + exp(-2 lambda)), and log alpha is a quadratic in t
        tail = 2 * span * torch.logaddexp(-2 * half_logsnr, torch.zeros_like(half_logsnr))
        return tail / (torch.sqrt(self.beta_min**2 + tail) + self.beta_min) / span
