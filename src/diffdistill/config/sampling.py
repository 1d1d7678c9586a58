"""How images are drawn, which of them make the set, and in which forms it leaves."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from diffdistill.config.fields import Block, Integer, NonNegativeInt, PositiveFloat, PositiveInt, UnitInterval, read


class Solver(Block):
    algorithm: Literal["dpmsolver++", "dpmsolver", "unipc", "ipndm", "ancestral", "consistency"] = "dpmsolver++"
    """consistency: by weights tuned to few evaluations, as `tune` says; it knows steps alone."""
    method: Literal["multistep", "singlestep"] = "multistep"
    order: Annotated[Integer, Field(ge=1, le=4)] = 2
    """Up to 3; ipndm up to 4."""
    nfe: PositiveInt = 10
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
    from_step: PositiveInt | None = None
    """The weaker network: this run's at an earlier measured iteration; null: the same one without the label."""

    @model_validator(mode="after")
    def _interval_rises(self) -> Self:
        if self.interval[0] >= self.interval[1]:
            raise ValueError(f"interval {list(self.interval)} must rise, as in [0.1, 0.5]")
        return self


class Sample(Block):
    budget_seconds: PositiveFloat | None = None
    images: PositiveInt | None = None
    """A fixed number instead of a budget: repeats a budgeted set, to the precision that its account names."""
    solver: Solver = Solver()
    batch_size: PositiveInt = 250
    """The upper limit; the one that takes least time an image is found while drawing."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """auto: float32, or what a probe finds faster where the budget is two minutes at least."""
    compile: Literal["auto"] | bool = "auto"
    """torch.compile; auto: where a probe on a GPU finds it faster and the budget is ten minutes at least."""
    guidance: Guidance | None = None
    seed: NonNegativeInt = 0

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if (self.budget_seconds is None) == (self.images is None):
            raise ValueError("give either budget_seconds or images, and leave the other null")
        return self


class Select(Block):
    method: Literal["all", "random", "classifier", "herding", "k_centre"] = "all"
    images: PositiveInt | None = None
    """How many to keep in all, as equal per class as they divide; null: as many as the method wants."""
    per_class: PositiveInt | None = None
    """How many to keep of each class, instead of images."""
    label_noise: Literal["keep", "drop", "relabel"] = "keep"
    """What becomes of an image that a classifier trained on the real train split gives another label than its own."""
    confidence: UnitInterval = 0.5
    """Only where the classifier gives its own label more probability than this."""
    seed: NonNegativeInt = 0

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
        if self.label_noise != "keep" and not self.needs_classifier:
            raise ValueError(
                f"method '{self.method}' asks no classifier; label_noise: {self.label_noise} needs 'classifier'"
            )
        return self


class SamplingSetup(Block):
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


def picked_setup(record: Mapping[str, Any], where: str) -> SamplingSetup:
    """The sampling setup that a pilot picked. Raises UserError naming `where` if the record holds something else."""
    return read(SamplingSetup, record["setup"], where)
