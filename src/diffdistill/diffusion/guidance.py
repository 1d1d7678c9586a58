"""Guidance: a prediction extrapolated away from that of a weaker denoiser."""

import torch
from torch import Tensor

from diffdistill.config import Guidance
from diffdistill.diffusion.denoiser import Denoiser, Wrapper


class Unlabelled(Wrapper):
    """The denoiser without the label. Raises ValueError if its label space has no null label."""

    def __init__(self, inner: Denoiser) -> None:
        super().__init__(inner)
        self._null = inner.labels.null

    def predict_noise(self, x: Tensor, t: Tensor, y: Tensor | None) -> Tensor:
        return self.inner.predict_noise(x, t, torch.full((len(x),), self._null, dtype=torch.int64, device=x.device))


class Guided(Wrapper):
    """weaker + weight (own - weaker) at times within the interval, both ends included; elsewhere the denoiser itself.

    With itself `Unlabelled` as the weaker: classifier-free guidance, Ho and Salimans 2022 (arXiv 2207.12598), equation
    6 with their 1 + w as weight; with an earlier checkpoint: autoguidance, Karras et al. 2024 (arXiv 2406.02507),
    equation 5. The interval: Kynkäänniemi et al. 2024 (arXiv 2404.07724). All times of a batch must be equal.
    """

    def __init__(self, inner: Denoiser, guidance: Guidance, weaker: Denoiser | None = None) -> None:
        """weaker: None for the denoiser itself without the label.

        Raises ValueError if the two differ in their schedule or the shape of their images, or if there is no null
        label where one is needed.
        """
        super().__init__(inner)
        self.guidance = guidance
        self.weaker = Unlabelled(inner) if weaker is None else weaker
        if (self.weaker.schedule, self.weaker.image_shape) != (inner.schedule, inner.image_shape):
            raise ValueError("the weaker denoiser has another schedule or other images than the one that it guides")

    def predict_noise(self, x: Tensor, t: Tensor, y: Tensor | None) -> Tensor:
        own = self.inner.predict_noise(x, t, y)
        low, high = self.guidance.interval
        if not low <= float(t[0]) <= high:
            return own
        other = self.weaker.predict_noise(x, t, y)
        return other + self.guidance.weight * (own - other)
