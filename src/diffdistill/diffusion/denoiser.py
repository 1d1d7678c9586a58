"""A denoiser: a network with its noise schedule and prediction type. It predicts the noise in an image."""

from typing import Any, Protocol

from torch import Tensor, nn

from diffdistill.config import ModelBlock, Prediction
from diffdistill.diffusion import networks
from diffdistill.diffusion.labels import LabelSpace
from diffdistill.diffusion.prediction import to_noise
from diffdistill.diffusion.schedule import VPSchedule


class Denoiser(Protocol):
    """What training, sampling, guidance and measurements know of a diffusion model."""

    @property
    def schedule(self) -> VPSchedule: ...

    @property
    def prediction(self) -> Prediction:
        """What the network's output stands for."""

    @property
    def labels(self) -> LabelSpace: ...

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)"""

    def predict_noise(self, x: Tensor, t: Tensor, y: Tensor | None) -> Tensor:
        """x: (B, C, H, W); t: (B,) in [0, 1], above 0 for `x0`; y: (B,) int64, a label of `labels` -> noise like x."""


class NetworkDenoiser(nn.Module):
    """A denoiser made of a network; called, it gives the network's output as it is."""

    def __init__(
        self,
        model: ModelBlock,
        *,
        labels: LabelSpace,
        image_shape: tuple[int, int, int],
        augment_dim: int = 0,
        schedule: VPSchedule | None = None,
    ) -> None:
        """The network is initialised from torch's global generator, which nothing else here uses.

        augment_dim: numbers that describe the augmentation of an image.
        Raises ValueError if the model block does not fit the images.
        """
        super().__init__()
        self.model, self.labels, self.image_shape, self.augment_dim = model, labels, image_shape, augment_dim
        self.schedule, self.prediction = schedule or VPSchedule(), model.prediction
        sizes = networks.Sizes(image_shape=image_shape, labels=labels.size, augment_dim=augment_dim)
        self.network = networks.build(model, sizes)

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None, augmentation: Tensor | None = None) -> Tensor:
        """The network's output; shapes as in `Network.forward`."""
        return self.network(x, t, y, augmentation)  # type: ignore[no-any-return]

    def predict_noise(self, x: Tensor, t: Tensor, y: Tensor | None) -> Tensor:
        """See `Denoiser.predict_noise`."""
        return to_noise(self.prediction, self.network(x, t, y), x, t, self.schedule)

    @property
    def parameter_count(self) -> int:
        """Of the network."""
        return sum(parameter.numel() for parameter in self.network.parameters())

    def describe(self) -> dict[str, Any]:
        """Plain values from which `from_description` builds the same denoiser, newly initialised."""
        return {
            "model": self.model.model_dump(mode="json"),
            "image_shape": list(self.image_shape),
            "labels": {
                "num_classes": self.labels.num_classes,
                "subclasses": [list(row) for row in self.labels.subclasses],
                "null_label": self.labels.null_label,
            },
            "augment_dim": self.augment_dim,
            "schedule": {"beta_min": self.schedule.beta_min, "beta_max": self.schedule.beta_max},
        }


class Wrapper:
    """A denoiser around another one, of which it has schedule, prediction type, labels and image shape."""

    def __init__(self, inner: Denoiser) -> None:
        self.inner = inner

    @property
    def schedule(self) -> VPSchedule:
        return self.inner.schedule

    @property
    def prediction(self) -> Prediction:
        return self.inner.prediction

    @property
    def labels(self) -> LabelSpace:
        return self.inner.labels

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return self.inner.image_shape

    def predict_noise(self, x: Tensor, t: Tensor, y: Tensor | None) -> Tensor:
        """See `Denoiser.predict_noise`."""
        return self.inner.predict_noise(x, t, y)


class Counting(Wrapper):
    """Counts network function evaluations (NFE)."""

    def __init__(self, inner: Denoiser) -> None:
        super().__init__(inner)
        self.calls = 0

    def predict_noise(self, x: Tensor, t: Tensor, y: Tensor | None) -> Tensor:
        self.calls += 1
        return self.inner.predict_noise(x, t, y)
