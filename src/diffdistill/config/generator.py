"""What makes the labelled images of an experiment."""

from typing import Annotated, Literal

from pydantic import Field

from diffdistill.config.fields import Block, FilePath


class TrainGenerator(Block):
    """A diffusion model that the experiment trains itself."""

    kind: Literal["train"] = "train"


class SamplesGenerator(Block):
    """A finished set of labelled images."""

    kind: Literal["samples"]
    path: FilePath


Generator = Annotated[TrainGenerator | SamplesGenerator, Field(discriminator="kind")]
