"""The training objective: which error is taken, at which times, and how much each counts."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from diffdistill.config import Prediction
from diffdistill.data import image_files
from diffdistill.diffusion.denoiser import Denoiser
from diffdistill.diffusion.prediction import factors, target
from diffdistill.diffusion.schedule import VPSchedule
from diffdistill.runtime.seeds import image_noise

MIN_SNR_GAMMA = 5.0
"""The value that Hang et al. advise."""

Output = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(x (B, C, H, W), t (B,), y (B,)) -> a network's output like x"""


def denoising_loss(
    output: Callable[..., Tensor],
    schedule: VPSchedule,
    x0: Tensor,
    t: Tensor,
    noise: Tensor,
    y: Tensor | None = None,
    *,
    prediction: Prediction = "noise",
) -> Tensor:
    """Mean square error of the network's output, (B,): Ho et al. 2020 (arXiv 2006.11239), equation 14, for `noise`.

    x0, noise: (B, C, H, W), x0 in [-1, 1]; t: (B,) in [0, 1]; y: (B,) int64.
    Raises ValueError if a time on the CPU is outside [0, 1], as 0..999 would be.
    """
    # true of NaN too; on a GPU the check would wait for all that is queued before it
    if t.device.type == "cpu" and not bool(((t >= 0) & (t <= 1)).all()):
        raise ValueError(f"times must be in [0, 1], found {float(t.min())} to {float(t.max())}")
    alpha_t, sigma_t = factors(schedule, t)
    x_t = alpha_t * x0 + sigma_t * noise
    error = output(x_t, t, y) - target(prediction, x0, noise, t, schedule)
    return error.square().flatten(1).mean(1)


def min_snr_weight(schedule: VPSchedule, t: Tensor, prediction: Prediction = "noise") -> Tensor:
    """Weight (B,) of an image's loss: Hang et al. 2023 (arXiv 2303.09556), section 3.4, with gamma = 5.

    min(SNR, gamma) / SNR for the noise, min(SNR, gamma) for x0, min(SNR, gamma) / (SNR + 1) for v; all are the same
    loss of x0. It takes weight from faint noise, on which a loss of the predicted noise spends most of it.
    """
    snr = (schedule.alpha(t) / schedule.sigma(t)).square()
    if prediction == "noise":
        return torch.clamp(MIN_SNR_GAMMA / snr, max=1.0)
    capped = torch.clamp(snr, max=MIN_SNR_GAMMA)
    if prediction == "x0":
        return capped
    return capped / (snr + 1)


def logit_normal_times(uniform: Tensor, mean: float, std: float) -> Tensor:
    """Times whose log(t / (1 - t)) is normal, from uniform draws in [0, 1), of their shape and dtype.

    Esser et al. 2024 (arXiv 2403.03206), equation 19.
    """
    return torch.sigmoid(mean + std * torch.special.ndtri(uniform))


@torch.inference_mode()
def losses_at(
    denoiser: Denoiser,
    images: Tensor,
    labels: Tensor,
    *,
    times: Sequence[float],
    noises: int,
    seed: int,
    batch_size: int,
    device: torch.device,
) -> Tensor:
    """Noise-prediction loss (N, T) float64 of images uint8 (N, C, H, W) at each of T times in (0, 1].

    The mean over `noises` draws of noise per image, the same at every time and for any batch size.
    """
    rows = []
    for first in range(0, len(images), batch_size):
        x0 = image_files.from_bytes(images[first : first + batch_size])
        shape = tuple(x0.shape[1:])
        noise = image_noise(seed, noises * first, noises * len(x0), shape, purpose="audit").to(device)
        x = x0.repeat_interleave(noises, 0).to(device)
        y = labels[first : first + batch_size].repeat_interleave(noises).to(device)
        at_times = [
            denoising_loss(
                denoiser.predict_noise, denoiser.schedule, x, torch.full((len(x),), t, device=device), noise, y
            )
            for t in times
        ]
        rows.append(torch.stack(at_times, 1).double().reshape(len(x0), noises, -1).mean(1).cpu())
    return torch.cat(rows)
