"""How ConvNets are trained and tested, and how a set is audited."""

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from diffdistill.config.fields import Block, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, UnitInterval

TrainSet = Literal["distilled", "random-samples", "all-samples", "real-random", "real"]
"""What a ConvNet is trained on."""
AUGMENTATIONS = ("color", "crop", "cutout", "flip", "scale", "rotate")


class Protocol(Block):
    """How a ConvNet is trained; the same for generated and real images."""

    epochs: PositiveInt | None = None
    """Length in passes over the set; give this or steps."""
    steps: PositiveInt | None = None
    """Length in optimisation steps, whatever the size of the set; give this or epochs."""
    batch_size: PositiveInt = 256
    """Images per step."""
    learning_rate: PositiveFloat = 0.01
    """Of SGD: where step starts, and the peak of onecycle."""
    momentum: UnitInterval = 0.9
    """Of SGD."""
    weight_decay: NonNegativeFloat = 5e-4
    """Of SGD."""
    schedule: Literal["step", "onecycle"] = "step"
    """step: a tenth of the rate in about the second half; onecycle: up for 30 % of the steps, then down to 0 by half a
    cosine."""
    augment: str = "_".join(AUGMENTATIONS)
    """Families of augmentation, joined by underscores."""
    augment_mode: Literal["one", "each"] = "one"
    """one: a random family per batch; each: all of them."""
    width: PositiveInt = 128
    """Channels of each block of the ConvNet."""
    depth: PositiveInt = 3
    """Blocks of the ConvNet; each halves the images' side."""
    mean: tuple[float, ...] | None = None
    """Per channel, of images in 0..1; null: that of the train set."""
    std: tuple[float, ...] | None = None
    """Per channel, of images in 0..1; given together with mean."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of convolutions in training; testing is in float32. bfloat16 is faster on a GPU or a processor that multiplies
    it."""

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give either epochs or steps, and leave the other null")
        if (self.mean is None) != (self.std is None):
            raise ValueError("give both mean and std, or neither")
        if self.mean is not None and self.std is not None:
            if len(self.mean) != len(self.std) or len(self.mean) not in (1, 3):
                raise ValueError("mean and std need one number each, or one per channel (3)")
            if not all(map(math.isfinite, self.mean)) or not all(0 < one < math.inf for one in self.std):
                raise ValueError("mean and std must be finite, and std above 0")
        unknown = [family for family in self.augment.split("_") if family and family not in AUGMENTATIONS]
        if unknown:
            raise ValueError(f"unknown family '{unknown[0]}' in augment; known: {', '.join(sorted(AUGMENTATIONS))}")
        return self


class Classifier(Block):
    """How the classifier is trained on the real train split; it gives features, label agreement and soft labels."""

    protocol: Protocol | None = None
    """Null: evaluate.protocol."""
    seed: NonNegativeInt = 1000
    """Of its first weights, order of images and augmentation."""


class Evaluate(Block):
    """How ConvNets are trained on the set and on real images, and tested on the test split."""

    seeds: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)] = (0, 1, 2)
    """Seeds of the trainings: one of each train set for each."""
    protocol: Protocol

    @model_validator(mode="after")
    def _seeds_differ(self) -> Self:
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"duplicate values in seeds: {list(self.seeds)}")
        return self


class Audit(Block):
    """How the distilled set and the weights are searched for copies of training images."""

    images: PositiveInt = 10_000
    """At most so many generated images are compared with real ones: the first."""
    members: PositiveInt = 2_000
    """At most so many train images, and as many validation images, have their denoising loss compared."""
    times: Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], Field(min_length=1)] = (0.02, 0.05, 0.1, 0.2)
    """Diffusion times at which the denoising loss is compared."""
    noises: PositiveInt = 4
    """Noise samples per image and time."""
    batch_size: PositiveInt = 250
    """Noisy images whose denoising loss is computed at once."""
    seed: NonNegativeInt = 0
    """Of the noise, of which images stand for their split, and of resampling for the intervals."""
