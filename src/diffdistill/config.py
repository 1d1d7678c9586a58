"""The experiments of config.yaml as types: unknown keys refused, numbers understood, no torch imported.

Each block of an experiment is what one stage reads; the stage gets it as JSON and parses it with the same class.
"""

import difflib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from diffdistill.errors import UserError


def _whole_number(value: Any) -> Any:
    """YAML takes 1e3 and 1_000.0 for text or a float; both are whole numbers to the person who wrote them."""
    if isinstance(value, bool):
        raise ValueError(f"{value} is a truth value, a whole number is needed")
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise ValueError(f"'{value}' is not a whole number") from None
    if isinstance(value, float):
        if not value.is_integer():
            raise ValueError(f"{value} is not a whole number")
        return int(value)
    return value


Whole = Annotated[int, BeforeValidator(_whole_number)]
Positive = Annotated[Whole, Field(ge=1)]
NotNegative = Annotated[Whole, Field(ge=0)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
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
                    raise ValueError(f"unknown key '{key}'; {hint}")
        return values


class Source(Block):
    """Where the images come from, and how validation and test are cut where none are published."""

    kind: Literal["digits", "cifar100", "tinyimagenet", "folder", "idx"]
    path: str | None = None
    """A local archive or folder, read in place."""
    urls: tuple[str, ...] = ()
    """Addresses of the archive, tried in turn; fetched once, before any other job."""
    checksum: Annotated[str, Field(pattern=r"^(md5|sha256):[0-9a-f]+$")] | None = None
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
        if self.size is not None and self.kind != "folder":
            raise ValueError("size is for a folder's pictures; the other sources have one")
        return self

    def file(self, dataset: str) -> str | None:
        """Where the archive or folder lies once it is there; None for bundled images."""
        if self.path is not None:
            return self.path
        return f"data/raw/{dataset}/{self.urls[0].rsplit('/', 1)[-1]}" if self.urls else None


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


class Train(Block):
    iterations: Positive
    slice_iterations: Positive
    batch_size: Positive
    """The global batch, whatever the number of devices."""
    learning_rate: Rate = 2e-4
    warmup_iterations: NotNegative = 0
    decay: Literal["none", "linear", "cosine"] = "none"
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.03
    betas: tuple[Fraction, Fraction] = (0.99, 0.999)
    ema_decay: Fraction = 0.9999
    flip: bool = True
    seed: NotNegative = 0
    save_seconds: Rate = 60.0
    log_every: Positive = 50

    @model_validator(mode="after")
    def _warmup_fits(self) -> Self:
        if self.warmup_iterations >= self.iterations:
            raise ValueError(f"warmup_iterations {self.warmup_iterations} must be below iterations {self.iterations}")
        return self


class Solver(Block):
    algorithm: Literal["dpmsolver++", "dpmsolver", "ancestral"] = "dpmsolver++"
    method: Literal["multistep", "singlestep"] = "multistep"
    order: Annotated[Whole, Field(ge=1, le=3)] = 2
    steps: Positive = 10
    """Network evaluations an image, exactly."""
    spacing: Literal["logsnr", "time"] = "logsnr"
    t_end: Annotated[float, Field(gt=0, lt=1)] = 1e-3


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
        known = {"color", "crop", "cutout", "flip", "scale", "rotate"}
        unknown = [family for family in self.augment.split("_") if family and family not in known]
        if unknown:
            raise ValueError(f"unknown family '{unknown[0]}' in augment; known: {', '.join(sorted(known))}")
        return self


class Fid(Block):
    every: Positive
    """Iterations between two measurements; also how often train keeps the averaged weights."""
    images: Positive
    features: Literal["inception", "classifier"] = "inception"
    inception_weights: str = "data/raw/pt_inception-2015-12-05-6726825d.pth"
    classifier: Protocol | None = None
    """How the classifier behind `features: classifier` is trained on the real train split."""
    solver: Solver = Solver()
    batch_size: Positive = 250
    seed: NotNegative = 1000

    @model_validator(mode="after")
    def _classifier_given(self) -> Self:
        if self.features == "classifier" and self.classifier is None:
            raise ValueError("features: classifier needs a block 'classifier' that says how it is trained")
        return self


class Sample(Block):
    budget_seconds: Rate | None = None
    images: Positive | None = None
    """A fixed number instead of a budget: repeats a budgeted set."""
    solver: Solver = Solver()
    batch_size: Positive = 250
    seed: NotNegative = 0

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if (self.budget_seconds is None) == (self.images is None):
            raise ValueError("give either budget_seconds or images, and leave the other null")
        return self


class Select(Block):
    method: Literal["all", "random"] = "all"
    images: Positive | None = None
    """How many to keep; null: as many as the method wants."""
    seed: NotNegative = 0

    @model_validator(mode="after")
    def _count_given(self) -> Self:
        if (self.method == "all") != (self.images is None):
            raise ValueError(f"method '{self.method}' {'takes no' if self.method == 'all' else 'needs'} images")
        return self


class Evaluate(Block):
    seeds: Annotated[tuple[NotNegative, ...], Field(min_length=1)] = (0, 1, 2)
    protocol: Protocol

    @model_validator(mode="after")
    def _seeds_differ(self) -> Self:
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds {list(self.seeds)} contain one twice")
        return self


class Experiment(Block):
    dataset: Name | None = None
    """The folder of data/ that this experiment reads; null: the experiment's own name."""
    threads: Positive = 8
    """CPU threads of a job that trains or measures the network, where the machine has as many."""
    source: Source
    model: Model
    train: Train
    fid: Fid
    sample: Sample
    select: Select = Select()
    evaluate: Evaluate

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
        return self

    def slice_ends(self) -> list[int]:
        """The iterations at which a training job ends, the last one included."""
        ends = list(range(self.train.slice_iterations, self.train.iterations, self.train.slice_iterations))
        return [*ends, self.train.iterations]

    def fid_steps(self) -> list[int]:
        """The iterations whose averaged weights are kept and measured."""
        return list(range(self.fid.every, self.train.iterations + 1, self.fid.every))

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
        for name in {"tables", "figures", "raw"} & set(self.datasets):
            raise ValueError(f"datasets: '{name}' is a folder of the workflow's own; give the experiment another name")
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
    shown = "" if isinstance(value, Mapping | Block) or problem["type"] == "value_error" else f" (found {value!r})"
    return f"{where}: {key + ': ' if key else ''}{message}{shown}"


def as_json(*blocks: Block, **named: Block | tuple[str, ...] | int | float | str | None) -> str:
    """Blocks as the JSON that a stage is given: one block as it is, named ones under their names; keys sorted."""
    values: dict[str, Any] = {}
    for block in blocks:
        values |= block.model_dump(mode="json")
    for name, value in named.items():
        values[name] = value.model_dump(mode="json") if isinstance(value, Block) else value
    return json.dumps(values, sort_keys=True)


def summary(config: Config) -> str:
    """What the tables and the report say of each target, as JSON: its data set, model, training and all settings."""
    described = {}
    for name in config.targets:
        experiment = config.experiment(name)
        described[name] = {
            "dataset": experiment.dataset or name,
            "model": experiment.model.model_dump(mode="json"),
            "training_iterations": experiment.train.iterations,
            "settings": experiment.model_dump(mode="json"),
        }
    return json.dumps({"experiments": described}, sort_keys=True)
