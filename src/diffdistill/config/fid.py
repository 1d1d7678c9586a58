"""How checkpoints are measured, and how one of them is picked."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from diffdistill.config.evaluation import Protocol
from diffdistill.config.fields import Block, FilePath, NonNegativeInt, PositiveInt, file_name
from diffdistill.config.sampling import SamplingSetup, Solver

INCEPTION_URL = (
    "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth"
)
INCEPTION_CHECKSUM = "sha256:6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"


class Measurement(Block):
    """How the images are sampled that a measurement is taken on."""

    images: Annotated[PositiveInt, Field(ge=2)]
    """Samples that are measured; at least 2, because a covariance of one image does not exist."""
    solver: Solver = Solver()
    """How these images are sampled."""
    batch_size: PositiveInt = 250
    """Images that are sampled at once."""
    seed: NonNegativeInt = 1000
    """Of the samples; others than those that are distilled."""


class Fid(Measurement):
    """How checkpoints are measured: the Fréchet distance of samples to train images."""

    renamed: ClassVar = {"classifier": "classifier.protocol, beside fid"}

    every: PositiveInt
    """Iterations between two measurements; also how often training keeps EMA weights."""
    features: Literal["inception", "classifier"] = "inception"
    """inception: of pytorch-fid's network, as published; classifier: of a ConvNet trained on the real train split,
    without a download."""
    inception_weights: FilePath = f"data/raw/inception/{file_name(INCEPTION_URL)}"
    """pytorch-fid's weights file; the default is downloaded, any other path must exist."""
    class_measures: bool | None = None
    """Also measure labels and classes with the classifier; null: only if `features: classifier`."""
    devices: PositiveInt | None = None
    """Processes that share the images, one per GPU of one node; null: as many as train.devices has there."""

    @property
    def measures_classes(self) -> bool:
        return self.features == "classifier" if self.class_measures is None else self.class_measures

    @property
    def measurement(self) -> Measurement:
        """The settings that decide the result, apart from the features."""
        return Measurement.model_validate(self.model_dump(include=set(Measurement.model_fields)))


class Checkpoint(Block):
    """How the checkpoint is picked that generates the distilled set, and with a pilot also how it is sampled."""

    renamed: ClassVar = {"draws": "setups"}

    by: Literal["fid", "pilot", "last"] | None = None
    """fid: the lowest FID; pilot: the best accuracy on validation of ConvNets trained on a few samples of each
    candidate; last: the last iteration; null: fid where it is measured, else last."""
    candidates: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] | None = None
    """Iterations that the pilot tries; null: all that are measured."""
    setups: Annotated[tuple[SamplingSetup, ...], Field(min_length=1)] | None = None
    """Sampling setups that the pilot tries with each candidate; the best one replaces `sample` and `select`; null: the
    solver, guidance and selection of `sample` and `select`."""
    images: PositiveInt = 2000
    """Samples per candidate with sample.solver; other setups take as many as the same number of evaluations allows."""
    seeds: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)] = (0, 1, 2)
    """Seeds of a candidate's trainings, one each."""
    protocol: Protocol | None = None
    """How a candidate's ConvNets are trained; null: evaluate.protocol with half the steps or epochs."""
    batch_size: PositiveInt = 250
    """Images that are sampled at once."""
    seed: NonNegativeInt = 2000
    """Of the samples; others than those measured or distilled."""

    @model_validator(mode="after")
    def _candidates_and_seeds(self) -> Self:
        if self.by != "pilot" and self.candidates is not None:
            raise ValueError(f"candidates are for by: pilot, not for by: {self.by}")
        if self.by != "pilot" and self.setups is not None:
            raise ValueError(f"setups are for by: pilot, not for by: {self.by}")
        setups = [setup.model_dump_json(exclude_none=True) for setup in self.setups or ()]
        for name, values in (("candidates", self.candidates or ()), ("setups", setups), ("seeds", self.seeds)):
            if len(set(values)) != len(values):
                raise ValueError(f"duplicate values in {name}: {list(values)}")
        return self
