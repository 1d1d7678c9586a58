"""The network, how it is trained, and how it is tuned."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from diffdistill.config.fields import (
    Block,
    Checksum,
    FilePath,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    UnitInterval,
    file_name,
)


class Start(Block):
    """Weights that training starts from in place of random ones: a PyTorch state dict or a safetensors file."""

    path: FilePath | None = None
    """A local file, read in place."""
    urls: tuple[str, ...] = ()
    """Addresses of the file, tried in turn; fetched once, before any other job."""
    checksum: Checksum | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.path is None) == (not self.urls):
            raise ValueError("start weights need either path or urls")
        return self

    def file(self, experiment: str) -> str:
        """Where the weights lie once they are there: path, or under data/raw/weights/ by the first address's name.

        An address without a file's name, such as a download by number, gives the experiment's.
        """
        if self.path is not None:
            return self.path
        name = file_name(self.urls[0])
        named = name.endswith((".pth", ".pt", ".bin", ".ckpt", ".safetensors"))
        return f"data/raw/weights/{name if named else experiment + '.pth'}"


RUNTIME_KEYS = {
    "slice_iterations",
    "save_seconds",
    "log_every",
    "devices",
    "micro_batch_size",
    "precision",
    "compile",
    "tensorboard",
}
"""Keys of Train that say how a job runs and what it tells, not what it makes: a change of them retrains nothing."""
SWITCHES = {
    "loss_weight",
    "times",
    "times_mean",
    "times_std",
    "label_dropout",
    "subclasses",
    "augment",
    "augment_probability",
}
"""Keys of Train that change nothing at their defaults."""


class OptimiserSettings(Block):
    """What training and tuning have in common."""

    iterations: PositiveInt
    batch_size: PositiveInt
    """The global batch, whatever the number of devices."""
    warmup_iterations: NonNegativeInt = 0
    decay: Literal["none", "linear", "cosine"] = "none"
    seed: NonNegativeInt = 0
    save_seconds: PositiveFloat = 60.0
    micro_batch_size: PositiveInt | None = None
    """Images that a device takes at once, to save memory; null: its whole share of the batch."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the network's matrix products; auto: bfloat16 on GPUs and processors that multiply it, else float32."""
    compile: Literal["auto"] | bool = "auto"
    """torch.compile; auto: on GPUs."""

    @model_validator(mode="after")
    def _warms_up_within(self) -> Self:
        if self.warmup_iterations >= self.iterations:
            raise ValueError(f"warmup_iterations {self.warmup_iterations} must be below iterations {self.iterations}")
        return self


class Recipe(OptimiserSettings):
    pass


class Train(Recipe):
    slice_iterations: PositiveInt
    learning_rate: PositiveFloat = 2e-4
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.03
    betas: tuple[UnitInterval, UnitInterval] = (0.99, 0.999)
    ema_decays: Annotated[tuple[UnitInterval, ...], Field(min_length=1, max_length=10)] = (0.9999,)
    """Of more averages of the weights, which are kept and measured beside that of ema_decay; choose takes the best."""
    flip: bool = True
    loss_weight: Literal["none", "min_snr"] = "none"
    """Of an image in the loss; min_snr: min(SNR, 5) / SNR, less for those with faint noise."""
    times: Literal["uniform", "logit_normal"] = "uniform"
    """How the times of the batch are distributed."""
    times_mean: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    times_std: PositiveFloat = 1.0
    """Of logit_normal: mean and spread of log(t / (1 - t))."""
    label_dropout: UnitInterval = 0.0
    """Share of the images that train without their label; classifier-free guidance needs some."""
    subclasses: PositiveInt = 1
    """Parts of every class that get labels of their own, by k-means on a classifier's features."""
    augment: str = ""
    """Any of flip, crop, scale and rotate, joined by underscores; the network is told what was done to an image."""
    augment_probability: Annotated[float, Field(ge=0, le=1)] = 0.15
    """With which each of them acts."""
    start: Start | None = None
    """Weights that the first slice starts from; null: random ones."""
    log_every: PositiveInt = 50
    devices: PositiveInt = 1
    """Processes that share each batch, one a GPU; without GPUs they compute on the CPU."""
    tensorboard: bool = False
    """Also write the curves for TensorBoard, to results/<experiment>/train/tensorboard/."""

    @model_validator(mode="after")
    def _numbers_fit(self) -> Self:
        if self.devices > self.batch_size:
            raise ValueError(f"devices {self.devices} cannot share a batch of {self.batch_size}; give at most as many")
        families = ("flip", "crop", "scale", "rotate")
        unknown = [family for family in self.augment.split("_") if family and family not in families]
        if unknown:
            raise ValueError(f"unknown family '{unknown[0]}' in augment; known: {', '.join(families)}")
        if self.subclasses > 1 and self.start is not None:
            raise ValueError("subclasses change what a label means, start weights know classes; give one of both")
        if len(set(self.ema_decays)) != len(self.ema_decays):
            raise ValueError(f"duplicate values in ema_decays: {list(self.ema_decays)}")
        return self

    def start_file(self, experiment: str) -> str | None:
        """Where the start weights lie; None where there are none."""
        return self.start.file(experiment) if self.start is not None else None

    def fingerprint(self) -> dict[str, Any]:
        """The settings that decide what is trained, apart from the start weights, which their checksum stands for.

        Switches at their defaults are left out: states from before they were known go on.
        """
        off = {name for name in SWITCHES if getattr(self, name) == type(self).model_fields[name].default}
        return self.model_dump(exclude={*RUNTIME_KEYS, *off, "start"})

    def recipe(self) -> dict[str, Any]:
        """What the training loop is told, but for when to keep weights."""
        told = {name: value for name, value in self.fingerprint().items() if name != "subclasses"}
        return told | {"log_every": self.log_every}


class Tune(OptimiserSettings):
    """How the chosen weights are tuned to leap from any time to the image, for solver.algorithm: consistency."""

    learning_rate: PositiveFloat = 1e-4
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    betas: tuple[UnitInterval, UnitInterval] = (0.9, 0.99)
    ema_decay: UnitInterval = 0.999
    stages: PositiveInt = 8
    """How often the two times of a pair come to lie half as far apart, after equally many iterations each."""
    noise_mean: Annotated[float, Field(allow_inf_nan=False)] = -1.1
    noise_std: PositiveFloat = 2.0
    """Of the logarithm of sigma / alpha, from which the times follow."""
    precision: Literal["auto", "float32", "bfloat16"] = "float32"
    """Float32, for a leap multiplies rounding by sigma / alpha."""
