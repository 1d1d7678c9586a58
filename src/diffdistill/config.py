"""The experiments of config.yaml as types: unknown keys refused, numbers understood, no torch imported.

Each block of an experiment is what one stage reads; the stage gets it as JSON and parses it with the same class.
"""

import difflib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from diffdistill.errors import UserError


def _short(value: Any) -> str:
    """A value as an error shows it: in quotes, on one line, not longer than a line."""
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:60]}… ({len(shown)} characters)"


def _file_name(url: str) -> str:
    """The last part of an address, without what follows a question mark; empty if there is none."""
    try:
        return urlsplit(url).path.rsplit("/", 1)[-1]
    except ValueError:
        return ""


def _whole_number(value: Any) -> Any:
    """YAML takes 1e3 and 1_000.0 for text or a float; both are whole numbers to the person who wrote them."""
    if isinstance(value, bool):
        raise ValueError(f"{value} is a truth value, a whole number is needed")
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise ValueError(f"{_short(value)} is not a whole number") from None
    if isinstance(value, float):
        if not value.is_integer():
            raise ValueError(f"{value} is not a whole number")
        return int(value)
    return value


INCEPTION_URL = (
    "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth"
)
INCEPTION_CHECKSUM = "sha256:6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
FOLDERS = {"tables", "figures", "raw", "inception", "weights"}
"""Folders of the workflow's own below results/ and data/: no experiment can have their names."""
FILES = {"report.html", "summary.txt", "README.md"}
"""Files of the workflow's own in results/."""


def _plain_path(path: str) -> str:
    if set(path) & set("{}") or not path.isprintable():
        raise ValueError(f"{_short(path)} has braces or control characters, which rules cannot take; link to it")
    return path


MOST_MEASUREMENTS = 10_000
"""Each is some jobs of the workflow."""

Whole = Annotated[int, BeforeValidator(_whole_number)]
Positive = Annotated[Whole, Field(ge=1)]
NotNegative = Annotated[Whole, Field(ge=0)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
FilePath = Annotated[str, AfterValidator(_plain_path)]
"""Braces would be wildcards to Snakemake."""
Checksum = Annotated[str, Field(pattern=r"^(md5:[0-9A-Fa-f]{32}|sha256:[0-9A-Fa-f]{64})$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]


class Block(BaseModel):
    """A block that refuses keys it does not know, and names the nearest one that it does."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, values: Any) -> Any:
        if isinstance(values, Mapping):
            for key in values:
                if key not in cls.model_fields:
                    near = difflib.get_close_matches(str(key), cls.model_fields, n=1, cutoff=0.5)
                    hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(cls.model_fields)}"
                    raise ValueError(f"unknown key {_short(str(key))}; {hint}")
        return values


class Source(Block):
    """Where the images come from, and how validation and test are cut where none are published."""

    kind: Literal["digits", "cifar100", "tinyimagenet", "folder", "idx"]
    path: FilePath | None = None
    """A local archive or folder, read in place."""
    urls: tuple[str, ...] = ()
    """Addresses of the archive, tried in turn; fetched once, before any other job."""
    checksum: Checksum | None = None
    """Of the archive; needed with urls."""
    size: Positive | None = None
    """Side in pixels that a folder's pictures are cropped and scaled to; null: all must have one size."""
    validation_per_class: Positive
    test_per_class: Positive | None = None
    """Cut from the images where the source publishes no test split."""
    seed: NotNegative = 0

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        given = [name for name in ("path", "urls") if getattr(self, name)]
        if self.kind == "digits":
            if given:
                raise ValueError(f"digits are bundled and take no {given[0]}")
        elif len(given) != 1:
            raise ValueError(f"'{self.kind}' needs either path or urls")
        if self.urls and self.checksum is None:
            raise ValueError("urls need a checksum, such as md5:0123…")
        for url in self.urls:
            name = _file_name(url)
            if "://" not in url or name in ("", ".", "..") or set(name) & set("{}\\") or not name.isprintable():
                raise ValueError(
                    f"{_short(url)} is no address that ends in a file's name, such as https://host/name.zip"
                )
        if self.size is not None and self.kind != "folder":
            raise ValueError("size is for a folder's pictures; the other sources have one")
        return self

    def file(self, dataset: str) -> str | None:
        """Where the archive or folder lies once it is there; None for bundled images."""
        if self.path is not None:
            return self.path
        return f"data/raw/{dataset}/{_file_name(self.urls[0])}" if self.urls else None


class Model(Block):
    """U-ViT; image size, channels and classes come from the data."""

    patch_size: Positive
    embed_dim: Positive
    depth: Positive
    num_heads: Positive
    mlp_ratio: Rate = 4.0

    @model_validator(mode="after")
    def _shapes_fit(self) -> Self:
        if self.embed_dim % self.num_heads:
            raise ValueError(f"embed_dim {self.embed_dim} is not a multiple of num_heads {self.num_heads}")
        if self.depth % 2:
            raise ValueError(f"depth {self.depth} is odd; long skip connections join two equal halves")
        return self


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
        name = _file_name(self.urls[0])
        named = name.endswith((".pth", ".pt", ".bin", ".ckpt", ".safetensors"))
        return f"data/raw/weights/{name if named else experiment + '.pth'}"


HOW_TO_TRAIN = {
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
    "further_ema_decays",
}
"""Keys of Train that change nothing at their defaults."""


class Descent(Block):
    """What training and tuning have in common."""

    iterations: Positive
    batch_size: Positive
    """The global batch, whatever the number of devices."""
    warmup_iterations: NotNegative = 0
    decay: Literal["none", "linear", "cosine"] = "none"

    @model_validator(mode="after")
    def _warms_up_within(self) -> Self:
        if self.warmup_iterations >= self.iterations:
            raise ValueError(f"warmup_iterations {self.warmup_iterations} must be below iterations {self.iterations}")
        return self


class Train(Descent):
    slice_iterations: Positive
    learning_rate: Rate = 2e-4
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.03
    betas: tuple[Fraction, Fraction] = (0.99, 0.999)
    ema_decay: Fraction = 0.9999
    further_ema_decays: Annotated[tuple[Fraction, ...], Field(max_length=9)] = ()
    """Of more averages of the weights, which are kept and measured beside that of ema_decay; choose takes the best."""
    flip: bool = True
    loss_weight: Literal["none", "min_snr"] = "none"
    """Of an image in the loss; min_snr: min(SNR, 5) / SNR, less for those with faint noise."""
    times: Literal["uniform", "logit_normal"] = "uniform"
    """How the times of the batch are distributed."""
    times_mean: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    times_std: Rate = 1.0
    """Of logit_normal: mean and spread of log(t / (1 - t))."""
    label_dropout: Fraction = 0.0
    """Share of the images that train without their label; classifier-free guidance needs some."""
    subclasses: Positive = 1
    """Parts of every class that get labels of their own, by k-means on a classifier's features."""
    augment: str = ""
    """Any of flip, crop, scale and rotate, joined by underscores; the network is told what was done to an image."""
    augment_probability: Annotated[float, Field(ge=0, le=1)] = 0.15
    """With which each of them acts."""
    seed: NotNegative = 0
    start: Start | None = None
    """Weights that the first slice starts from; null: random ones."""
    save_seconds: Rate = 60.0
    log_every: Positive = 50
    devices: Positive = 1
    """Processes that share each batch, one a GPU; without GPUs they compute on the CPU."""
    micro_batch_size: Positive | None = None
    """Images that a device takes at once, to save memory; null: its whole share of the batch."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the network's matrix products; auto: bfloat16 on GPUs and processors that multiply it, else float32."""
    compile: Literal["auto"] | bool = "auto"
    """torch.compile; auto: on GPUs."""
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
        if len({self.ema_decay, *self.further_ema_decays}) <= len(self.further_ema_decays):
            raise ValueError(
                f"ema_decay {self.ema_decay} and further_ema_decays {list(self.further_ema_decays)} contain one twice"
            )
        return self

    def start_file(self, experiment: str) -> str | None:
        """Where the start weights lie; None where there are none."""
        return self.start.file(experiment) if self.start is not None else None

    def deciding(self) -> dict[str, Any]:
        """The settings that decide what is trained, apart from the start weights, which their checksum stands for.

        Switches at their defaults are left out: states from before they were known go on.
        """
        off = {name for name in SWITCHES if getattr(self, name) == type(self).model_fields[name].default}
        return self.model_dump(exclude={*HOW_TO_TRAIN, *off, "start"})

    def recipe(self) -> dict[str, Any]:
        """What the training loop is told, but for when to keep weights."""
        told = {name: value for name, value in self.deciding().items() if name != "subclasses"}
        return told | {"log_every": self.log_every}


class Solver(Block):
    algorithm: Literal["dpmsolver++", "dpmsolver", "unipc", "ipndm", "ancestral", "consistency"] = "dpmsolver++"
    """consistency: by weights tuned to few evaluations, as `tune` says; it knows steps alone."""
    method: Literal["multistep", "singlestep"] = "multistep"
    order: Annotated[Whole, Field(ge=1, le=4)] = 2
    """Up to 3; ipndm up to 4."""
    steps: Positive = 10
    """Network evaluations an image, exactly."""
    spacing: Literal["logsnr", "time", "rho"] = "logsnr"
    """What the times are even in: half-logSNR, time, or the seventh root of sigma / alpha, which suits ipndm."""
    t_end: Annotated[float, Field(gt=0, lt=1)] = 1e-3

    @model_validator(mode="after")
    def _algorithm_has_it(self) -> Self:
        if self.order == 4 and self.algorithm != "ipndm":
            raise ValueError(f"order 4 is for ipndm; '{self.algorithm}' knows 1 to 3")
        if self.method == "singlestep" and self.algorithm not in ("dpmsolver", "dpmsolver++"):
            raise ValueError(f"method 'singlestep' is for dpmsolver and dpmsolver++, not for '{self.algorithm}'")
        return self


class Guidance(Block):
    """The noise is predicted away from what a weaker network predicts, which is a second evaluation."""

    weight: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    """weaker + weight (own - weaker): 1 is no guidance."""
    interval: tuple[Annotated[float, Field(ge=0, le=1)], Annotated[float, Field(ge=0, le=1)]] = (0.0, 1.0)
    """The times that are guided; others take one evaluation."""
    from_step: Positive | None = None
    """The weaker network: this run's at an earlier measured iteration; null: the same one without the label."""

    @model_validator(mode="after")
    def _interval_rises(self) -> Self:
        if self.interval[0] >= self.interval[1]:
            raise ValueError(f"interval {list(self.interval)} must rise, as in [0.1, 0.5]")
        return self


class Tune(Descent):
    """How the chosen weights are tuned to leap from any time to the image, for solver.algorithm: consistency."""

    learning_rate: Rate = 1e-4
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    betas: tuple[Fraction, Fraction] = (0.9, 0.99)
    ema_decay: Fraction = 0.999
    halvings: Positive = 8
    """How often the two times of a pair come to lie half as far apart, after equally many iterations each."""
    noise_mean: Annotated[float, Field(allow_inf_nan=False)] = -1.1
    noise_std: Rate = 2.0
    """Of the logarithm of sigma / alpha, from which the times follow."""
    seed: NotNegative = 0
    save_seconds: Rate = 60.0
    micro_batch_size: Positive | None = None
    """Images at once, to save memory; null: the batch."""
    precision: Literal["auto", "float32", "bfloat16"] = "float32"
    """Of matrix products; a leap multiplies their rounding by sigma / alpha."""
    compile: Literal["auto"] | bool = "auto"


class Protocol(Block):
    """How a ConvNet is trained; the same for generated and real images."""

    epochs: Positive | None = None
    steps: Positive | None = None
    batch_size: Positive = 256
    learning_rate: Rate = 0.01
    momentum: Fraction = 0.9
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 5e-4
    schedule: Literal["step", "onecycle"] = "step"
    augment: str = "color_crop_cutout_flip_scale_rotate"
    augment_mode: Literal["one", "each"] = "one"
    width: Positive = 128
    depth: Positive = 3
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

    images: Positive
    solver: Solver = Solver()
    batch_size: Positive = 250
    seed: NotNegative = 1000


class Fid(Measurement):
    every: Positive
    """Iterations between two measurements; also how often train keeps the averaged weights."""
    features: Literal["inception", "classifier"] = "inception"
    inception_weights: FilePath = f"data/raw/inception/{_file_name(INCEPTION_URL)}"
    """pytorch-fid's weights file; the default is fetched, any other path must be there."""
    classifier: Protocol | None = None
    """How the classifier behind `features: classifier` is trained on the real train split; null: as evaluate says."""
    class_measures: bool | None = None
    """Also measure labels and classes, by that classifier; null: where `features: classifier` trains it anyway."""
    devices: Positive | None = None
    """Processes that share the images, one a GPU; null: as many as train.devices."""

    @property
    def measures_classes(self) -> bool:
        return self.features == "classifier" if self.class_measures is None else self.class_measures

    @property
    def measurement(self) -> Measurement:
        """What the stage `fid` reads."""
        return Measurement.model_validate(self.model_dump(include=set(Measurement.model_fields)))


class Sample(Block):
    budget_seconds: Rate | None = None
    images: Positive | None = None
    """A fixed number instead of a budget: repeats a budgeted set, to the precision that its account names."""
    solver: Solver = Solver()
    batch_size: Positive = 250
    """The upper limit; the one that takes least time an image is found while drawing."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """auto: float32, or what a probe finds faster where the budget is two minutes at least."""
    compile: Literal["auto"] | bool = "auto"
    """torch.compile; auto: where a probe on a GPU finds it faster and the budget is ten minutes at least."""
    guidance: Guidance | None = None
    seed: NotNegative = 0

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if (self.budget_seconds is None) == (self.images is None):
            raise ValueError("give either budget_seconds or images, and leave the other null")
        return self


class Select(Block):
    method: Literal["all", "random", "classifier", "herding", "k_centre"] = "all"
    images: Positive | None = None
    """How many to keep in all, as equal per class as they divide; null: as many as the method wants."""
    per_class: Positive | None = None
    """How many to keep of each class, instead of images."""
    disagree: Literal["keep", "drop", "relabel"] = "keep"
    """What becomes of an image that a classifier trained on the real train split gives another label than its own."""
    confidence: Fraction = 0.5
    """Only where the classifier gives its own label more probability than this."""
    seed: NotNegative = 0

    @property
    def needs_classifier(self) -> bool:
        return self.method not in ("all", "random")

    @property
    def counts(self) -> bool:
        """Whether it keeps a given number of images."""
        return self.images is not None or self.per_class is not None

    @model_validator(mode="after")
    def _settings_fit_the_method(self) -> Self:
        if self.images is not None and self.per_class is not None:
            raise ValueError("give either images or per_class, and leave the other null")
        count = "images" if self.images is not None else "per_class" if self.per_class is not None else None
        if self.method == "all" and count:
            raise ValueError(f"method 'all' takes no {count}; 'random' does")
        if self.method in ("random", "herding", "k_centre") and not count:
            raise ValueError(f"method '{self.method}' needs images or per_class")
        if self.disagree != "keep" and not self.needs_classifier:
            raise ValueError(f"method '{self.method}' asks no classifier; disagree: {self.disagree} needs 'classifier'")
        return self


class Draw(Block):
    """A way from weights to a set, for the pilot to try."""

    solver: Solver | None = None
    """Null: that of sample."""
    guidance: Guidance | None = None
    """Null: none."""
    select: Select | None = None
    """Null: all images."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.solver is not None and self.solver.algorithm == "consistency":
            raise ValueError("solver: 'consistency' needs weights that are tuned after the choice; take another")
        if self.select is not None and self.select.counts:
            raise ValueError(
                f"select: method '{self.select.method}' keeps a number of images, which means another share of the "
                "pilot's than of the distilled set; take 'all' or 'classifier' without images and per_class"
            )
        return self


class Choose(Block):
    """How the weights are chosen that draw the distilled set; where the pilot does, how they draw it too."""

    by: Literal["fid", "pilot"] = "fid"
    """fid: the lowest; pilot: the best accuracy on validation of ConvNets trained on a few images of each candidate."""
    candidates: Annotated[tuple[Positive, ...], Field(min_length=1)] | None = None
    """Iterations that the pilot tries; null: all that are measured."""
    draws: Annotated[tuple[Draw, ...], Field(min_length=1)] | None = None
    """Ways to a set that the pilot tries with each of them, and the best of which then makes it, whatever sample and
    select say; null: these alone."""
    images: Positive = 2000
    """Drawn of each candidate by sample.solver; others draw as many more or fewer: all take equal evaluations."""
    seeds: Annotated[tuple[NotNegative, ...], Field(min_length=1)] = (0, 1, 2)
    protocol: Protocol | None = None
    """How a candidate's ConvNets are trained; null: as evaluate says, in half the steps or epochs."""
    batch_size: Positive = 250
    seed: NotNegative = 2000
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


class Audit(Block):
    """How the distilled set and the weights are searched for copies of training images."""

    images: Positive = 10_000
    """At most so many generated images are compared with the real ones: the first."""
    members: Positive = 2_000
    """At most so many train and as many validation images have their denoising loss compared."""
    times: Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], Field(min_length=1)] = (0.02, 0.05, 0.1, 0.2)
    """Of the diffusion, at which the loss is taken."""
    noises: Positive = 4
    """Draws of noise an image and time."""
    batch_size: Positive = 250
    seed: NotNegative = 0


class Export(Block):
    """The forms in which the distilled set leaves the workflow."""

    formats: tuple[Literal["images", "parquet", "challenge"], ...] = ("images", "challenge")
    """images: a zip of PNGs by class; parquet: for Hugging Face, needs pyarrow; challenge: the contest's tensor."""
    challenge_per_class: Positive | None = None
    """Images a class in the contest's tensor (its first track demands 10); null: as many as the smallest class has."""
    licence: str | None = None
    """Of the source's images, as the card says it; null: what is known of the kind of source."""


class Evaluate(Block):
    seeds: Annotated[tuple[NotNegative, ...], Field(min_length=1)] = (0, 1, 2)
    protocol: Protocol

    @model_validator(mode="after")
    def _seeds_differ(self) -> Self:
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds {list(self.seeds)} contain one twice")
        return self


TRAIN_SETS = ("distilled", "real-random", "real")
"""What a ConvNet is trained on: the generated images, as many random real ones, all real ones."""
Student = Literal["convnet", "resnet18", "vit_tiny", "mobilenet"]


class Run(Block):
    """One kind of training of a study, repeated for every seed; what stands at its default is as in `evaluate`."""

    family: str
    """Names what is varied; trainings of one family on other sets are its rivals."""
    part: Literal["length", "size", "budget", "student", "labels", "augment", "round"]
    train_set: Literal["distilled", "real-random", "real"]
    epochs: Positive | None = None
    equal_steps: bool = False
    """As many steps as `epochs` are on the distilled set."""
    images_per_class: Positive | None = None
    budget_fraction: float | None = None
    student: Student = "convnet"
    labels: Literal["hard", "soft"] = "hard"
    augment: bool = True
    round: Positive | None = None

    @property
    def name(self) -> str:
        return f"{self.family}-{self.train_set}"

    @property
    def on_all(self) -> str | None:
        """The run whose training this one repeats where the distilled set is as large as the real one."""
        has_one = self.train_set == "real-random" and self.part in ("length", "student")
        return f"{self.family}-real" if has_one else None


class Study(Block):
    """Further trainings beside the main evaluation, by its protocol and with its seeds; docs/evaluation.md."""

    epochs: tuple[Positive, ...] = ()
    """Other lengths, on all three sets; the challenge's are 101 and 1001."""
    equal_steps: bool = False
    """All three sets with as many steps as the distilled set takes in the protocol's epochs, or the first of these."""
    images_per_class: tuple[Positive, ...] = ()
    """The first so many images of each class of the distilled set, and as many random real ones."""
    budget_fractions: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = ()
    """The first images, this share of them: what a shorter budget had given."""
    students: tuple[Student, ...] = ()
    """Other networks, on all three sets."""
    soft_labels: bool = False
    """Targets from a classifier trained on the real train split, for the distilled set and for random real images."""
    no_augmentation: bool = False
    """The distilled set and random real images without augmentation: what the score ARS needs."""
    rounds: Annotated[Whole, Field(ge=0, le=100)] = 0
    """Distilled sets made anew, with the sampling seed + 1, + 2, …, of as many images as the main one."""

    def runs(self, protocol: Protocol) -> dict[str, Run]:
        """By name, what is trained beside the main evaluation, which trains the ConvNet by `protocol`."""
        planned: list[Run] = []

        def plan(family: str, part: str, train_sets: Sequence[str], **changed: Any) -> None:
            for train_set in train_sets:
                planned.append(Run.model_validate({"family": family, "part": part, "train_set": train_set, **changed}))

        for epochs in self.epochs:
            if epochs != protocol.epochs:
                plan(f"epochs-{epochs}", "length", TRAIN_SETS, epochs=epochs)
        if self.equal_steps:
            plan("equal-steps", "length", TRAIN_SETS, equal_steps=True, epochs=self.epochs_in_steps(protocol))
        for count in self.images_per_class:
            plan(f"size-{count}", "size", TRAIN_SETS[:2], images_per_class=count)
        for fraction in self.budget_fractions:
            plan(f"budget-{fraction}", "budget", TRAIN_SETS[:1], budget_fraction=fraction)
        for student in self.students:
            if student != "convnet":
                plan(student, "student", TRAIN_SETS, student=student)
        if self.soft_labels:
            plan("soft", "labels", TRAIN_SETS[:2], labels="soft")
        if self.no_augmentation:
            plan("no-augmentation", "augment", TRAIN_SETS[:2], augment=False)
        for round in range(1, self.rounds + 1):
            plan(f"round-{round}", "round", TRAIN_SETS[:1], round=round)
        return {run.name: run for run in planned}

    def epochs_in_steps(self, protocol: Protocol) -> int | None:
        """The epochs whose steps on the distilled set `equal_steps` gives to all; None where none are named."""
        return protocol.epochs or next(iter(self.epochs), None)


class Experiment(Block):
    dataset: Name | None = None
    """The folder of data/ that this experiment reads; null: the experiment's own name."""
    threads: Positive = 8
    """CPU threads of a job that trains or measures the network, where the machine has as many."""
    source: Source
    model: Model
    train: Train
    fid: Fid
    choose: Choose = Choose()
    tune: Tune | None = None
    """Null: the chosen weights draw as they are."""
    sample: Sample
    select: Select = Select()
    evaluate: Evaluate
    study: Study | None = None
    """Null: nothing beside the main evaluation."""
    audit: Audit = Audit()
    export: Export = Export()

    @model_validator(mode="after")
    def _intervals_fit(self) -> Self:
        if self.train.slice_iterations % self.fid.every:
            raise ValueError(
                f"train.slice_iterations {self.train.slice_iterations} is not a multiple of fid.every {self.fid.every}"
            )
        if self.train.iterations % self.fid.every:
            raise ValueError(
                f"train.iterations {self.train.iterations} is not a multiple of fid.every {self.fid.every}"
            )
        if self.train.iterations // self.fid.every > MOST_MEASUREMENTS:
            raise ValueError(
                f"fid.every {self.fid.every} measures {self.train.iterations // self.fid.every} times in "
                f"train.iterations {self.train.iterations}; raise it: {MOST_MEASUREMENTS} are the most"
            )
        for step in self.choose.candidates or ():
            if step > self.train.iterations or step % self.fid.every:
                raise ValueError(
                    f"choose.candidates: {step} is not measured; give multiples of fid.every {self.fid.every} "
                    f"up to train.iterations {self.train.iterations}"
                )
        return self

    @model_validator(mode="after")
    def _drawing_fits(self) -> Self:
        leaps = self.sample.solver.algorithm == "consistency"
        if self.fid.solver.algorithm == "consistency":
            raise ValueError("fid.solver: 'consistency' is for tuned weights, fid measures those before; take another")
        if leaps and self.tune is None:
            raise ValueError("sample.solver.algorithm 'consistency' needs tuned weights; give the block tune")
        if leaps and self.choose.by == "pilot":
            raise ValueError(
                "choose.by 'pilot' draws as sample does, but sample.solver.algorithm 'consistency' needs weights that "
                "are tuned after the choice; choose by fid"
            )
        if self.sample.guidance is None:
            return self
        if leaps:
            raise ValueError("sample.guidance and sample.solver.algorithm 'consistency' exclude each other; drop one")
        self._guidance_fits("sample.guidance", self.sample.guidance)
        return self

    @model_validator(mode="after")
    def _draws_fit(self) -> Self:
        for number, draw in enumerate(self.choose.draws or ()):
            if draw.guidance is not None:
                self._guidance_fits(f"choose.draws.{number}.guidance", draw.guidance)
        if self.choose.by == "pilot" and not self.pilots():
            raise ValueError(
                "choose: no candidate comes after the iteration that guides it (from_step); give later ones"
            )
        return self

    def _guidance_fits(self, key: str, guidance: Guidance) -> None:
        if guidance.from_step is None and not self.train.label_dropout:
            raise ValueError(
                f"{key} without from_step needs a network that knows images without a label; raise "
                "train.label_dropout above 0, such as 0.1"
            )
        if guidance.from_step is not None and guidance.from_step not in self.fid_steps():
            raise ValueError(
                f"{key}.from_step: {guidance.from_step} is not measured; give a multiple of fid.every "
                f"{self.fid.every} up to train.iterations {self.train.iterations}"
            )

    @model_validator(mode="after")
    def _study_fits(self) -> Self:
        study = self.study
        if study is None:
            return self
        if study.equal_steps and study.epochs_in_steps(self.evaluate.protocol) is None:
            raise ValueError(
                "study.equal_steps: evaluate.protocol counts steps, which are equal already; leave it false, "
                "or give study.epochs"
            )
        for select in (self.select, *(draw.select for draw in self.choose.draws or ())):
            if study.budget_fractions and select is not None and select.method != "all":
                raise ValueError(
                    f"study.budget_fractions: select.method '{select.method}' does not keep the images as they "
                    "came; leave the list empty, or select all"
                )
        if study.rounds and len(self.evaluate.seeds) < 2:
            raise ValueError("study.rounds needs two evaluate.seeds at least, to tell the sets from the trainings")
        return self

    def study_runs(self) -> dict[str, Run]:
        """What the study trains, by name. Raises UserError if there is no study."""
        if self.study is None:
            raise UserError("study is null; give it what to train, such as {images_per_class: [10, 50, 100]}")
        return self.study.runs(self.evaluate.protocol)

    def study_run(self, name: str) -> Run:
        """Raises UserError with the known names."""
        if name not in self.study_runs():
            raise UserError(f"the study plans no '{name}'; planned: {', '.join(self.study_runs()) or 'nothing'}")
        return self.study_runs()[name]

    @property
    def classifier(self) -> Protocol:
        """How the classifier is trained whose features measure the distance and whose judgement selects."""
        return self.fid.classifier or self.evaluate.protocol

    @property
    def fid_devices(self) -> int:
        """Processes that share the images of a measurement."""
        return self.fid.devices or self.train.devices

    @property
    def pilot_protocol(self) -> Protocol:
        """How the pilot's ConvNets are trained."""
        full = self.evaluate.protocol
        half = {name: max(1, length // 2) for name in ("steps", "epochs") if (length := getattr(full, name))}
        return self.choose.protocol or full.model_copy(update=half)

    def slice_ends(self) -> list[int]:
        """The iterations at which a training job ends, the last one included."""
        ends = list(range(self.train.slice_iterations, self.train.iterations, self.train.slice_iterations))
        return [*ends, self.train.iterations]

    def fid_steps(self) -> list[int]:
        """The iterations whose averaged weights are kept and measured."""
        return list(range(self.fid.every, self.train.iterations + 1, self.fid.every))

    def averages(self, steps: Sequence[int] | None = None) -> list[str]:
        """Names of the averaged weights of some iterations, or of all measured ones, as training keeps them.

        Of iteration 100 they are 100, and 100-ema1 by the first further length.
        """
        endings = ["", *(f"-ema{number}" for number in range(1, 1 + len(self.train.further_ema_decays)))]
        return [f"{step}{ending}" for step in (self.fid_steps() if steps is None else steps) for ending in endings]

    def average(self, name: str) -> dict[str, Any]:
        """One of these by name: its iteration and the decay of its average. Raises UserError with the known names."""
        step, _, ending = name.partition("-ema")
        if name not in self.averages():
            raise UserError(f"no weights '{name}' are kept; kept: {', '.join(self.averages())}")
        decays = (self.train.ema_decay, *self.train.further_ema_decays)
        return {"name": name, "step": int(step), "ema_decay": decays[int(ending or 0)]}

    def pilots(self) -> list[tuple[str, int]]:
        """What a pilot tries, names of averages and numbers of draws; nothing where it does not choose."""
        steps = self.choose.candidates or self.fid_steps() if self.choose.by == "pilot" else ()
        return [
            (name, number)
            for step in steps
            for name in self.averages([step])
            for number, draw in enumerate(self.pilot_draws)
            if draw.guidance is None or (draw.guidance.from_step or 0) < step
        ]

    @property
    def pilot_draws(self) -> tuple[Draw, ...]:
        """How the pilot makes sets, complete."""
        if self.choose.draws is None:
            select = None if self.select.counts else self.select
            return (Draw(solver=self.sample.solver, guidance=self.sample.guidance, select=select),)
        return tuple(
            draw.model_copy(update={"solver": draw.solver or self.sample.solver}) for draw in self.choose.draws
        )

    def slice_of(self, step: int) -> int:
        """The end of the slice that passes iteration `step`."""
        return next(end for end in self.slice_ends() if end >= step)

    def slice_before(self, end: int) -> int | None:
        """The end of the slice before the one that ends at `end`; None for the first."""
        ends = self.slice_ends()
        if end not in ends:
            raise UserError(f"no training slice ends at iteration {end}; slices end at {ends}")
        return ends[ends.index(end) - 1] if end != ends[0] else None


class Config(Block):
    targets: Annotated[tuple[Name, ...], Field(min_length=1)]
    """The experiments that `all` covers."""
    datasets: dict[Name, Experiment | None]

    @model_validator(mode="after")
    def _targets_exist(self) -> Self:
        given = {*self.datasets, *(one.dataset for one in self.experiments.values() if one.dataset)}
        for name in sorted((FOLDERS | FILES) & given):
            raise ValueError(f"datasets: '{name}' is a name of the workflow's own; give another name")
        for name in self.targets:
            if self.datasets.get(name) is None:
                raise ValueError(
                    f"targets: no experiment '{name}' under datasets; known: {', '.join(self.experiments)}"
                )
        sources: dict[str, tuple[str, Source]] = {}
        for name, experiment in self.experiments.items():
            data = experiment.dataset or name
            other, source = sources.setdefault(data, (name, experiment.source))
            if source != experiment.source:
                raise ValueError(f"datasets.{name}.source differs from datasets.{other}.source, both make data/{data}")
        return self

    @property
    def experiments(self) -> dict[str, Experiment]:
        """The experiments that are not removed by null."""
        return {name: experiment for name, experiment in self.datasets.items() if experiment is not None}

    def experiment(self, name: str) -> Experiment:
        """Raises UserError with the known names."""
        if name in self.experiments:
            return self.experiments[name]
        near = difflib.get_close_matches(name, self.experiments, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise UserError(f"no experiment '{name}' under datasets; {hint}known: {', '.join(self.experiments)}")


B = TypeVar("B", bound=Block)


def parse(values: Mapping[str, Any], where: str = "config.yaml") -> Config:
    """The typed config. Raises UserError, one line a mistake: file, key, value and what is wrong."""
    return read(Config, values, where)


def read(block: type[B], values: Mapping[str, Any], where: str = "--config") -> B:
    """One block from plain values. Raises UserError naming key and value."""
    try:
        return block.model_validate(values)
    except ValidationError as error:
        raise UserError("\n".join(_line(where, problem) for problem in error.errors())) from None


def _line(where: str, problem: Any) -> str:
    key = ".".join(str(part) for part in problem["loc"] if part != "[key]")
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "missing":
        return f"{where}: {key} is missing; add it"
    value = problem["input"]
    shown = f" (found {_short(value)})"
    if isinstance(value, Mapping | Block) or problem["type"] == "value_error":
        shown = ""
    return f"{where}: {key + ': ' if key else ''}{message}{shown}"


def as_json(*blocks: Block, **named: Block | tuple[Block | str | int, ...] | int | float | str | None) -> str:
    """Blocks as the JSON that a stage is given: one block as it is, named ones under their names; keys sorted."""
    values: dict[str, Any] = {}
    for block in blocks:
        values |= block.model_dump(mode="json")
    return json.dumps(values | named, sort_keys=True, default=lambda block: block.model_dump(mode="json"))


def summary(config: Config, targets: Sequence[str]) -> str:
    """What the tables and the report say of each target, as JSON: its data set, model, training and all settings."""
    described = {}
    for name in targets:
        experiment = config.experiment(name)
        described[name] = {
            "dataset": experiment.dataset or name,
            "model": experiment.model.model_dump(mode="json"),
            "training_iterations": experiment.train.iterations,
            "settings": experiment.model_dump(mode="json"),
        }
    return json.dumps({"experiments": described}, sort_keys=True)
