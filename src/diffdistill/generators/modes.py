"""Mode guidance: each image is drawn toward one of the modes of its class, so that few images cover a class.

The idea of MGD3 (Chan-Santiago et al. 2025, arXiv 2505.18963): modes are k-means centres, and the image predicted in an
evaluation is moved toward its mode. There the space is that of an autoencoder; here it is a classifier's features.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.cluster import KMeans
from torch import Tensor

from diffdistill.classify.training import Classifier
from diffdistill.config import Sample
from diffdistill.data.image_files import ImageSet
from diffdistill.data.raw import Array
from diffdistill.diffusion.checkpoints import Checkpoint
from diffdistill.diffusion.denoiser import Denoiser, Wrapper
from diffdistill.diffusion.running import Plan
from diffdistill.errors import UserError
from diffdistill.generators.diffusion import DiffusionGenerator, describe

Features = Callable[[Tensor], Tensor]
"""Images (B, C, H, W) in [-1, 1] -> (B, F), differentiable."""


def centres(features: Array, count: int, seed: int) -> Array:
    """The k-means centres float32 (count, F) of a class's features (N, F), the one with most images first.

    Raises ValueError if there are fewer images than centres.
    """
    found = KMeans(count, n_init=3, random_state=seed % 2**32).fit(features)
    order = (-torch.bincount(torch.from_numpy(found.labels_).long(), minlength=count)).argsort(stable=True)
    result: Array = found.cluster_centers_[order.numpy()].astype("float32")
    return result


class ModeGuided(Wrapper):
    """Predicts noise such that the predicted image x0 lies nearer to its mode m, in features f.

    x0 - weight d / |g|^2 g with d = |f(x0) - m|^2 and g its gradient: Polyak's step, which has no unit; where d is
    linear, weight 1 would bring it to 0. All times of a batch must be equal.
    """

    def __init__(
        self, inner: Denoiser, features: Features, modes: Tensor, weight: float, interval: tuple[float, float]
    ) -> None:
        """modes: (B, F), those of the images of the batches to come; interval: the times that are guided."""
        super().__init__(inner)
        self.features, self.modes, self.weight, self.interval = features, modes, weight, interval

    def predict_noise(self, x: Tensor, t: Tensor, y: Tensor | None) -> Tensor:
        noise = self.inner.predict_noise(x, t, y)
        if not self.interval[0] <= float(t[0]) <= self.interval[1]:
            return noise
        alpha, sigma = (one[:, None, None, None].to(x) for one in (self.schedule.alpha(t), self.schedule.sigma(t)))
        with torch.inference_mode(False), torch.enable_grad():
            x0 = ((x.clone() - sigma.clone() * noise.clone()) / alpha.clone()).clamp(-1, 1).requires_grad_(True)
            distance = (self.features(x0.float()) - self.modes.clone()).square().sum(1)  # (B,)
            (gradient,) = torch.autograd.grad(distance.sum(), x0)
            length = gradient.square().sum((1, 2, 3)).clamp_min(1e-12)
            moved = x0.detach() - (self.weight * distance.detach() / length)[:, None, None, None] * gradient
        return (x - alpha * moved.clamp(-1, 1)) / sigma


class ModeGuidance:
    """Guides a batch so that the images of a class take its modes in turn, however batches are cut."""

    def __init__(self, features: Features, modes: Tensor, *, weight: float, interval: tuple[float, float]) -> None:
        """modes: (K, M, F); the i-th image of a class is drawn toward its mode i modulo M."""
        self._features, self._modes, self._weight, self._interval = features, modes, weight, interval

    def __call__(self, denoiser: Denoiser, first: int, labels: Tensor) -> ModeGuided:
        """For images first, first + 1, … of classes in turn: image i has mode i // K modulo M."""
        classes, per_class = self._modes.shape[:2]
        numbers = torch.arange(first, first + len(labels)) // classes % per_class
        return ModeGuided(denoiser, self._features, self._modes[labels, numbers], self._weight, self._interval)

    def describe(self) -> dict[str, Any]:
        """Plain values for the account."""
        return {
            "kind": "diffusion, mode guidance",
            "modes": self._modes.shape[1],
            "weight": self._weight,
            "interval": list(self._interval),
        }


def generator(
    checkpoint: Checkpoint,
    settings: Sample,
    classifier: Classifier,
    train: ImageSet,
    device: torch.device,
    plan: Plan | None = None,
) -> DiffusionGenerator:
    """A checkpoint, as it is or as planned, sampled as `settings.modes` says, with the modes of the train split.

    Raises UserError if a class has fewer images than modes.
    """
    modes = settings.modes
    assert modes is not None
    found = []
    for label, name in enumerate(train.classes):
        images = train.images[train.labels == label]
        if len(images) < modes.per_class:
            raise UserError(f"class '{name}' has {len(images)} images, but {modes.per_class} modes are asked for")
        parts = [images[first : first + 500] for first in range(0, len(images), 500)]
        with torch.no_grad():
            features = [classifier.features(part.to(device)).float().cpu().numpy() for part in parts]
        found.append(torch.from_numpy(centres(np.concatenate(features), modes.per_class, modes.seed)))
    classifier.requires_grad_(False)
    guidance = ModeGuidance(
        lambda x: classifier.features((x + 1) * 127.5), torch.stack(found).to(device),
        weight=modes.weight, interval=modes.interval,
    )  # fmt: skip
    return DiffusionGenerator(
        checkpoint.denoiser if plan is None else plan.denoiser, settings.solver, seed=settings.seed, device=device,
        guide=guidance, fixed_batch_size=None if plan is None else plan.batch_size,
        about={**describe(checkpoint), **guidance.describe()},
    )  # fmt: skip
