"""What makes the images of an experiment: a model trained here or elsewhere, a user's own code, or a finished set."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from diffdistill.config.fields import Block, FilePath, Float, NonNegativeInt, PositiveFloat, PositiveInt, short
from diffdistill.config.model import Model

Form = Literal["auto", "folder", "parquet", "npz", "safetensors", "tensors"]
"""folder: one folder per class, or a zip or tar of it; tensors: torch's .pt and .pth."""


class TrainGenerator(Block):
    """A diffusion model trained by this experiment."""

    kind: Literal["train"] = "train"
    """A diffusion model that this experiment trains."""


class SamplesGenerator(Block):
    """A finished set of labelled images."""

    kind: Literal["samples"]
    """A finished set of labelled images."""
    path: FilePath
    """The file or folder of the set."""
    format: Form = "auto"
    """auto: found from the file's content."""
    labels: FilePath | None = None
    """A second file with the labels, in the order of the images: .pt, .npy, or text with one label per line."""
    images_key: str | None = None
    """Name of the array, tensor or column of images; null: the only one that can be."""
    labels_key: str | None = None
    """Name of the array, tensor or column of labels; null: the only one that can be."""
    classes: tuple[str, ...] | Literal["as_source"] | None = None
    """Names of labels 0, 1, ... where the file has none; as_source: numbered as the real data set numbers them."""
    values: Literal["auto", "bytes", "unit", "signed", "normalised"] = "auto"
    """Range of the pixels: 0..255, 0..1, -1..1, or normalised by mean and std; auto: found from all of them."""
    mean: tuple[Float, ...] | None = None
    """Per channel, of images in 0..1, by which the file's images are normalised."""
    std: tuple[PositiveFloat, ...] | None = None
    """Per channel, of images in 0..1; given together with mean."""
    clip: bool = False
    """Clip values that leave the range, as those of optimised images do; false: refuse them."""
    experiment: NonNegativeInt | None = None
    """Which repetition to take from a file of several; null: the only one."""
    soft_labels: Literal["probabilities", "logits"] = "probabilities"
    """What the rows of soft labels are; logits go through a softmax."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.mean is None) != (self.std is None):
            raise ValueError("give both mean and std, or neither")
        lengths = {len(values) for values in (self.mean, self.std) if values is not None}
        if lengths and (len(lengths) > 1 or lengths.isdisjoint((1, 3))):
            raise ValueError("mean and std need one number, or one per channel (3)")
        if self.values == "normalised" and self.mean is None:
            raise ValueError("values: normalised needs mean and std")
        if self.mean is not None and self.values not in ("auto", "normalised"):
            raise ValueError(f"mean and std are for normalised images, not for values: {self.values}")
        if isinstance(self.classes, tuple):
            twice = [name for name in self.classes if self.classes.count(name) > 1]
            if twice:
                raise ValueError(f"{short(twice[0])} stands twice in classes")
            if len(self.classes) < 2:
                raise ValueError("classes needs two names at least")
        return self


class WeightsGenerator(Block):
    """A denoiser trained elsewhere."""

    kind: Literal["weights"]
    """A denoiser trained elsewhere."""
    path: FilePath
    """A weights file of this workflow, or a checkpoint of the published U-ViT code."""
    model: Model | None = None
    """The network of a checkpoint of the published code, which does not say it; null: the file says it."""
    classes: tuple[str, ...] | Literal["as_source"] | None = None
    """Names of labels 0, 1, ... where the file has none."""


class PythonGenerator(Block):
    """A class with `generate(first, labels)` in a user's file; its code runs in the sampling job alone."""

    kind: Literal["python"]
    """A class in a Python file."""
    path: FilePath
    """The Python file."""
    name: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    """Name of the class."""
    arguments: dict[str, int | float | bool | str | None] = Field(default_factory=dict)
    """Keyword arguments of the class."""


class PipelineGenerator(Block):
    """A folder saved by diffusers: a class-conditional pipeline, or a text-to-image one with a prompt per class."""

    kind: Literal["pipeline"]
    """A pipeline of diffusers."""
    path: FilePath
    """The folder that diffusers' save_pretrained wrote."""
    prompts: dict[str, str] | None = None
    """Class name to prompt; null: the pipeline takes class numbers."""
    classes: tuple[str, ...] | Literal["as_source"] | None = None
    """Names of the pipeline's class numbers 0, 1, and so on; as_source: numbered as the real data set numbers them."""
    steps: PositiveInt = 50
    """Denoising steps per image (num_inference_steps)."""
    guidance: PositiveFloat | None = None
    """Guidance scale; null: the pipeline's own."""
    precision: Literal["float32", "float16", "bfloat16"] = "float32"
    """Of the pipeline's weights and arithmetic."""


Generator = Annotated[
    TrainGenerator | SamplesGenerator | WeightsGenerator | PythonGenerator | PipelineGenerator,
    Field(discriminator="kind"),
]
