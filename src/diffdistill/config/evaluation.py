"""How weights are measured and chosen, and how a set is tested and audited."""

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from diffdistill.config.fields import (
    Block,
    FilePath,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    UnitInterval,
    file_name,
)
from diffdistill.config.sampling import SamplingSetup, Solver

INCEPTION_URL = (
    "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth"
)
INCEPTION_CHECKSUM = "sha256:6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"


class Protocol(Block):
    """How a ConvNet is trained; the same for generated and real images."""

    epochs: PositiveInt | None = None
    steps: PositiveInt | None = None
    batch_size: PositiveInt = 256
    learning_rate: PositiveFloat = 0.01
    momentum: UnitInterval = 0.9
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 5e-4
    schedule: Literal["step", "onecycle"] = "step"
    augment: str = "color_crop_cutout_flip_scale_rotate"
    augment_mode: Literal["one", "each"] = "one"
    width: PositiveInt = 128
    depth: PositiveInt = 3
    mean: tuple[float, ...] | None = None
    """Per channel, of images in 0..1; null: that of the images trained on."""
    std: tuple[float, ...] | None = None

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give either epochs or steps, and leave the other null")
        if (self.mean is None) != (self.std is None):
            raise ValueError("give both mean and std, or neither")
        if self.mean is not None and self.std is not None:
            if len(self.mean) != len(self.std) or len(self.mean) not in (1, 3):
                raise ValueError("mean and std need one number each, or one a channel (3)")
            if not all(map(math.isfinite, self.mean)) or not all(0 < one < math.inf for one in self.std):
                raise ValueError("mean and std must be finite, and std above 0")
        known = {"color", "crop", "cutout", "flip", "scale", "rotate"}
        unknown = [family for family in self.augment.split("_") if family and family not in known]
        if unknown:
            raise ValueError(f"unknown family '{unknown[0]}' in augment; known: {', '.join(sorted(known))}")
        return self


class Measurement(Block):
    """How the images are drawn that are measured."""

    images: PositiveInt
    solver: Solver = Solver()
    batch_size: PositiveInt = 250
    seed: NonNegativeInt = 1000


class Fid(Measurement):
    every: PositiveInt
    """Iterations between two measurements; also how often train keeps the averaged weights."""
    features: Literal["inception", "classifier"] = "inception"
    inception_weights: FilePath = f"data/raw/inception/{file_name(INCEPTION_URL)}"
    """pytorch-fid's weights file; the default is fetched, any other path must be there."""
    classifier: Protocol | None = None
    """How the classifier behind `features: classifier` is trained on the real train split; null: as evaluate says."""
    class_measures: bool | None = None
    """Also measure labels and classes, by that classifier; null: where `features: classifier` trains it anyway."""
    devices: PositiveInt | None = None
    """Processes that share the images, one a GPU; null: as many as train.devices."""

    @property
    def measures_classes(self) -> bool:
        return self.features == "classifier" if self.class_measures is None else self.class_measures

    @property
    def measurement(self) -> Measurement:
        """What the stage `fid` reads."""
        return Measurement.model_validate(self.model_dump(include=set(Measurement.model_fields)))


class Choose(Block):
    """How the weights are chosen that draw the distilled set; where the pilot does, how they draw it too."""

    by: Literal["fid", "pilot"] = "fid"
    """fid: the lowest; pilot: the best accuracy on validation of ConvNets trained on a few images of each candidate."""
    candidates: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] | None = None
    """Iterations that the pilot tries; null: all that are measured."""
    draws: Annotated[tuple[SamplingSetup, ...], Field(min_length=1)] | None = None
    """Ways to a set that the pilot tries with each of them, and the best of which then makes it, whatever sample and
    select say; null: these alone."""
    images: PositiveInt = 2000
    """Drawn of each candidate by sample.solver; others draw as many more or fewer: all take equal evaluations."""
    seeds: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)] = (0, 1, 2)
    protocol: Protocol | None = None
    """How a candidate's ConvNets are trained; null: as evaluate says, in half the steps or epochs."""
    batch_size: PositiveInt = 250
    seed: NonNegativeInt = 2000
    """Of the images: others than those measured or distilled."""

    @model_validator(mode="after")
    def _candidates_and_seeds(self) -> Self:
        if self.by != "pilot" and self.candidates is not None:
            raise ValueError(f"candidates are for by: pilot; by: {self.by} takes all that are measured")
        if self.by != "pilot" and self.draws is not None:
            raise ValueError(f"draws are for by: pilot; by: {self.by} leaves it at what sample and select say")
        draws = [draw.model_dump_json(exclude_none=True) for draw in self.draws or ()]
        for name, values in (("candidates", self.candidates or ()), ("draws", draws), ("seeds", self.seeds)):
            if len(set(values)) != len(values):
                raise ValueError(f"{name} {list(values)} contain one twice")
        return self


class Evaluate(Block):
    seeds: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)] = (0, 1, 2)
    protocol: Protocol

    @model_validator(mode="after")
    def _seeds_differ(self) -> Self:
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds {list(self.seeds)} contain one twice")
        return self


class Audit(Block):
    """How the distilled set and the weights are searched for copies of training images."""

    images: PositiveInt = 10_000
    """At most so many generated images are compared with the real ones: the first."""
    members: PositiveInt = 2_000
    """At most so many train and as many validation images have their denoising loss compared."""
    times: Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], Field(min_length=1)] = (0.02, 0.05, 0.1, 0.2)
    """Of the diffusion, at which the loss is taken."""
    noises: PositiveInt = 4
    """Draws of noise an image and time."""
    batch_size: PositiveInt = 250
    seed: NonNegativeInt = 0
