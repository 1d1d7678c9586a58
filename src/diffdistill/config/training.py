"""How the denoiser is trained, and how it is tuned."""

import math
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from diffdistill.config.fields import (
    Block,
    Checksum,
    FilePath,
    Float,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    UnitInterval,
    file_name,
)
from diffdistill.errors import UserError


class Start(Block):
    """Weights that training starts from in place of random ones: a PyTorch state dict or a safetensors file."""

    path: FilePath | None = None
    """A local file, read in place."""
    urls: tuple[str, ...] = ()
    """Addresses of the file, tried in turn; fetched once, before any other job."""
    checksum: Checksum | None = None
    """Of the file, md5:… or sha256:…; null: what is fetched is taken as it is."""

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
    "devices_per_node",
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
    "optimiser",
}
"""Keys of Train that change nothing at their defaults."""


EmaDecays = Annotated[tuple[UnitInterval, ...], Field(min_length=1, max_length=10)]


def checkpoint_name(iteration: int, ema: int = 0) -> str:
    """Name of the EMA weights of an iteration: 100 with the primary decay, 100-ema1 with the decay of index 1."""
    return f"{iteration}{ema_suffix(ema)}"


def ema_suffix(ema: int) -> str:
    """How names of EMA weights end, by the index of their decay in ema_decays."""
    return f"-ema{ema}" if ema else ""


def split_checkpoint_name(name: str) -> tuple[int, int]:
    """Iteration and index of the decay of a `checkpoint_name`. Raises ValueError for another name."""
    iteration, _, ema = name.partition("-ema")
    found = int(iteration), int(ema or 0)
    if checkpoint_name(*found) != name:
        raise ValueError(f"'{name}' is not the name of a checkpoint")
    return found


class Ema(NamedTuple):
    """EMA weights that training keeps: their name, iteration and decay."""

    name: str
    step: int
    ema_decay: float


class OptimiserSettings(Block):
    """What training and tuning have in common."""

    iterations: PositiveInt
    """Optimisation steps in all."""
    batch_size: PositiveInt
    """The global batch, whatever the number of devices."""
    warmup_iterations: NonNegativeInt = 0
    """First iterations, over which the learning rate rises linearly from 0."""
    decay: Literal["none", "linear", "cosine"] = "none"
    """Of the learning rate, after the warm-up."""
    seed: NonNegativeInt = 0
    """Of first weights, order of images, times and noise."""
    save_seconds: PositiveFloat = 60.0
    """Seconds between two saves of the progress."""
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
    """All that the training loop reads."""

    renamed: ClassVar = {"ema_decay": "ema_decays", "further_ema_decays": "ema_decays"}

    optimiser: Literal["adamw", "muon"] = "adamw"
    """muon: Muon for the matrices of a U-ViT's blocks, AdamW for the rest."""
    learning_rate: PositiveFloat = 2e-4
    """After the warm-up."""
    weight_decay: NonNegativeFloat = 0.03
    """Share of a weight that a step at rate 1 would take off."""
    betas: tuple[UnitInterval, UnitInterval] = (0.99, 0.999)
    """Of AdamW: decays of the means of the gradient and of its square."""
    ema_decays: EmaDecays = (0.9999,)
    """Decays of the EMA weights; the first is the primary one. All are kept and measured."""
    flip: bool = True
    """Mirror half of the images left to right."""
    loss_weight: Literal["none", "min_snr"] = "none"
    """Weight of an image in the loss; min_snr caps the signal-to-noise ratio at 5."""
    times: Literal["uniform", "logit_normal"] = "uniform"
    """Distribution of the times of a batch."""
    times_mean: Float = 0.0
    """Of logit_normal: mean of log(t / (1 - t))."""
    times_std: PositiveFloat = 1.0
    """Of logit_normal: standard deviation of log(t / (1 - t))."""
    label_dropout: UnitInterval = 0.0
    """Probability of dropping the label, which adds a null label; classifier-free guidance needs some."""
    augment: str = ""
    """Any of flip, crop, scale and rotate, joined by underscores; the network is conditioned on them."""
    augment_probability: Annotated[Float, Field(ge=0, le=1)] = 0.15
    """Probability that each of them acts on an image."""
    log_every: PositiveInt = 50
    """Iterations between two rows of the history."""

    @property
    def families(self) -> list[str]:
        """Families of the augmentation."""
        return [family for family in self.augment.split("_") if family]

    @model_validator(mode="after")
    def _values_fit(self) -> Self:
        families = ("flip", "crop", "scale", "rotate")
        unknown = [family for family in self.families if family not in families]
        if unknown:
            raise ValueError(f"unknown family '{unknown[0]}' in augment; known: {', '.join(families)}")
        if len(set(self.ema_decays)) < len(self.ema_decays):
            raise ValueError(f"duplicate values in ema_decays: {list(self.ema_decays)}")
        return self


class Train(Recipe):
    """How the diffusion model is trained."""

    slice_iterations: PositiveInt
    """Iterations that one job trains; with fid a multiple of fid.every."""
    subclasses: PositiveInt = 1
    """Sub-classes per class, by k-means on the classifier's features."""
    start: Start | None = None
    """Weights that the first slice starts from; null: random ones."""
    devices: PositiveInt = 1
    """Processes that share each batch, one a GPU; without GPUs they compute on the CPU."""
    devices_per_node: PositiveInt | None = None
    """GPUs of one node of a SLURM cluster: more devices take several nodes, all of them; null: one node."""
    tensorboard: bool = False
    """Also write the curves for TensorBoard, to results/<experiment>/train/tensorboard/."""

    @model_validator(mode="after")
    def _numbers_fit(self) -> Self:
        if self.devices > self.batch_size:
            raise ValueError(f"devices {self.devices} cannot share a batch of {self.batch_size}; give at most as many")
        if self.nodes > 1 and self.devices % self.devices_on_node:
            raise ValueError(
                f"devices {self.devices} do not fill nodes of devices_per_node {self.devices_on_node}; give a multiple "
                f"of it, or at most {self.devices_on_node}"
            )
        if self.subclasses > 1 and self.start is not None:
            raise ValueError("subclasses and start cannot be combined: start weights use class labels")
        return self

    @property
    def devices_on_node(self) -> int:
        """Processes on each of the nodes."""
        return min(self.devices, self.devices_per_node or self.devices)

    @property
    def nodes(self) -> int:
        """Nodes that a job takes."""
        return math.ceil(self.devices / self.devices_on_node)

    def measuring(self, wanted: int | None) -> int:
        """Processes of a measurement, all on one node. Raises UserError if fid.devices asks for more than it has."""
        if wanted is not None and self.devices_per_node is not None and wanted > self.devices_per_node:
            raise UserError(
                f"fid.devices {wanted}: a measurement takes one node, and train.devices_per_node is "
                f"{self.devices_per_node}; give at most as many"
            )
        return wanted or self.devices_on_node

    def start_file(self, experiment: str) -> str | None:
        """Where the start weights lie; None where there are none."""
        return self.start.file(experiment) if self.start is not None else None

    def slice_ends(self) -> list[int]:
        """The iterations at which a training job ends, the last one included."""
        return [*range(self.slice_iterations, self.iterations, self.slice_iterations), self.iterations]

    def slice_of(self, step: int) -> int:
        """The end of the slice that passes iteration `step`."""
        return next(end for end in self.slice_ends() if end >= step)

    def slice_before(self, end: int) -> int | None:
        """The end of the slice before the one that ends at `end`; None for the first. Raises UserError for another."""
        ends = self.slice_ends()
        if end not in ends:
            raise UserError(f"no training slice ends at iteration {end}; slices end at {ends}")
        return ends[ends.index(end) - 1] if end != ends[0] else None

    def fingerprint(self) -> dict[str, Any]:
        """The settings that decide what is trained, apart from the start weights, which their checksum stands for.

        Switches at their defaults are left out: states from before they were known go on.
        """
        return self.model_dump(mode="json", exclude={*RUNTIME_KEYS, *self.at_defaults(SWITCHES), "start"})


class Tune(OptimiserSettings):
    """Consistency tuning of the picked checkpoint, for solver.algorithm: consistency."""

    renamed: ClassVar = {"halvings": "stages"}

    learning_rate: PositiveFloat = 1e-4
    """Of AdamW, after the warm-up."""
    weight_decay: NonNegativeFloat = 0.0
    """Of AdamW."""
    betas: tuple[UnitInterval, UnitInterval] = (0.9, 0.99)
    """Of AdamW: decays of the means of the gradient and of its square."""
    ema_decay: UnitInterval = 0.999
    """Of the EMA weights, which are the tuned ones."""
    stages: PositiveInt = 8
    """Stages of equally many iterations; in each the two times of a pair lie half as far apart as before."""
    noise_mean: Float = -1.1
    """Mean of log(sigma / alpha), from whose normal distribution the times follow."""
    noise_std: PositiveFloat = 2.0
    """Standard deviation of log(sigma / alpha)."""
    precision: Literal["auto", "float32", "bfloat16"] = "float32"
    """Of the network's matrix products; float32, because the consistency function multiplies rounding errors by sigma /
    alpha."""

    def recipe(self, *, flip: bool) -> Recipe:
        """What the training loop reads; flip: as in the training before."""
        values = self.model_dump(include=set(Recipe.model_fields))
        return Recipe(**values, ema_decays=(self.ema_decay,), flip=flip, log_every=1)

    def fingerprint(self) -> dict[str, Any]:
        """The settings that decide what is tuned."""
        return self.model_dump(mode="json", exclude=RUNTIME_KEYS)
