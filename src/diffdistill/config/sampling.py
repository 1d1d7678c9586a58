"""How images are sampled, which of them make the set, and in which forms it leaves."""

from collections.abc import Collection, Mapping
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from diffdistill.config.fields import (
    Block,
    Float,
    Integer,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    UnitInterval,
    read,
    short,
)


class Abilities(NamedTuple):
    """What the settings of a solver may be."""

    highest_order: int
    """Orders 1 to this one; 1 where the solver has no choice of order."""
    methods: tuple[str, ...] = ("multistep",)


SOLVERS = {
    "dpmsolver++": Abilities(3, ("multistep", "singlestep")),
    "dpmsolver": Abilities(3, ("multistep", "singlestep")),
    "unipc": Abilities(3),
    "ipndm": Abilities(4),
    "ancestral": Abilities(3),
    "consistency": Abilities(3),
}
"""All solvers by name; `diffdistill.diffusion.solvers` has the functions. The last two read no order."""


def _one_of(names: Collection[str], what: str) -> AfterValidator:
    """Refuses names that a registry does not have."""

    def known(name: str) -> str:
        if name not in names:
            raise ValueError(f"unknown {what} {short(name)}; known: {', '.join(names)}")
        return name

    return AfterValidator(known)


class Solver(Block):
    """How noise is solved into images."""

    renamed: ClassVar = {"steps": "nfe"}

    algorithm: Annotated[str, _one_of(SOLVERS, "algorithm"), WithJsonSchema({"enum": [*SOLVERS]})] = "dpmsolver++"
    """All but two solve the probability-flow ODE; ancestral adds noise, and reads nfe and t_end alone; consistency: few
    evaluations by weights tuned as `tune` says, and reads nfe alone."""
    method: Literal["multistep", "singlestep"] = "multistep"
    """multistep: each evaluation is used by the steps that follow; singlestep: only by its own step."""
    order: Annotated[Integer, Field(ge=1)] = 2
    """Of the solver, up to 3; ipndm up to 4."""
    nfe: PositiveInt = 10
    """Network function evaluations per image, exactly."""
    spacing: Literal["logsnr", "time", "rho"] = "logsnr"
    """What the times are even in: half-logSNR, time, or the seventh root of sigma / alpha, which suits ipndm."""
    t_end: Annotated[Float, Field(gt=0, lt=1)] = 1e-3
    """Time in (0, 1) at which solving ends; noise is at time 1, images at 0."""

    @model_validator(mode="after")
    def _algorithm_has_it(self) -> Self:
        abilities = SOLVERS[self.algorithm]
        if self.order > abilities.highest_order:
            raise ValueError(f"order {self.order}: '{self.algorithm}' has orders 1 to {abilities.highest_order}")
        if self.method not in abilities.methods:
            able = [name for name, other in SOLVERS.items() if self.method in other.methods]
            raise ValueError(f"method '{self.method}' is for {' and '.join(able)}, not for '{self.algorithm}'")
        return self


class Guidance(Block):
    """Extrapolates from the prediction of a weaker denoiser, which takes a second evaluation."""

    weight: NonNegativeFloat
    """weaker + weight (own - weaker); 1 is no guidance."""
    interval: tuple[Annotated[Float, Field(ge=0, le=1)], Annotated[Float, Field(ge=0, le=1)]] = (0.0, 1.0)
    """The times that are guided; others take one evaluation."""
    from_step: PositiveInt | None = None
    """The weaker denoiser: this run's at an earlier measured iteration; null: the same one without the label."""

    @model_validator(mode="after")
    def _interval_rises(self) -> Self:
        if self.interval[0] >= self.interval[1]:
            raise ValueError(f"interval {list(self.interval)} must rise, as in [0.1, 0.5]")
        return self


class Modes(Block):
    """Draws each image toward a k-means mode of its class, in the features of the classifier (arXiv 2505.18963)."""

    per_class: PositiveInt = 10
    """Modes of a class; its images take them in turn."""
    weight: PositiveFloat = 0.1
    """Share of the step that would bring a linear distance to 0, at every guided evaluation."""
    interval: tuple[Annotated[Float, Field(ge=0, le=1)], Annotated[Float, Field(ge=0, le=1)]] = (0.1, 0.6)
    """The times that are guided."""
    seed: NonNegativeInt = 0
    """Of k-means."""

    @model_validator(mode="after")
    def _interval_rises(self) -> Self:
        if self.interval[0] >= self.interval[1]:
            raise ValueError(f"interval {list(self.interval)} must rise, as in [0.1, 0.6]")
        return self


def _names(counts: Any) -> Any:
    """YAML reads the class 7 as a number."""
    return {str(name): count for name, count in counts.items()} if isinstance(counts, Mapping) else counts


class Sample(Block):
    """How labelled images are generated: within a wall-clock budget, or a fixed number."""

    budget_seconds: PositiveFloat | None = None
    """Wall-clock seconds from before the weights are loaded until the last image is on disk; give this or images."""
    images: PositiveInt | None = None
    """A fixed number instead of a budget: repeats a budgeted set, to the precision that its account names."""
    counts: Annotated[Literal["balanced", "real"] | dict[str, NonNegativeInt], BeforeValidator(_names)] = "balanced"
    """How the classes share the images: equally, as in the real train split, or {class: n}; exactly n where `images` is
    the sum."""
    solver: Solver = Solver()
    """How the noise of an image is solved into the image."""
    batch_size: PositiveInt = 250
    """The upper limit; the size that takes least time per image is found while sampling."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """auto: float32, or what a probe finds faster where the budget is two minutes at least."""
    compile: Literal["auto"] | bool = "auto"
    """torch.compile; auto: where a probe on a GPU finds it faster and the budget is ten minutes at least."""
    guidance: Guidance | None = None
    """Guidance by a weaker denoiser; null: none."""
    modes: Modes | None = None
    """Mode guidance, for small sets; null: none."""
    seed: NonNegativeInt = 0
    """Of the noise; that of image i depends on (seed, i) alone."""

    @model_validator(mode="after")
    def _one_way_of_guidance(self) -> Self:
        if self.modes is not None and self.guidance is not None:
            raise ValueError("guidance and modes cannot be combined; remove one")
        return self

    @model_validator(mode="after")
    def _counts_are_possible(self) -> Self:
        if not isinstance(self.counts, str) and not any(self.counts.values()):
            raise ValueError("counts: no class has an image; give one a number above 0")
        if self.modes is not None and self.counts != "balanced":
            raise ValueError("modes take the images of balanced classes in turn; leave counts at 'balanced'")
        return self

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if (self.budget_seconds is None) == (self.images is None):
            raise ValueError("give either budget_seconds or images, and leave the other null")
        return self


class SelectionMethod(NamedTuple):
    """What a selection method needs."""

    needs_count: bool
    """A number of images to keep."""
    needs_classifier: bool
    """The classifier: its predictions or its features."""


SELECTION_METHODS = {
    "all": SelectionMethod(needs_count=False, needs_classifier=False),
    "random": SelectionMethod(needs_count=True, needs_classifier=False),
    "classifier": SelectionMethod(needs_count=False, needs_classifier=True),
    "herding": SelectionMethod(needs_count=True, needs_classifier=True),
    "k_centre": SelectionMethod(needs_count=True, needs_classifier=True),
}
"""All selection methods by name; `diffdistill.data.selection` has the functions."""


class Select(Block):
    """Which of the samples make the distilled set."""

    renamed: ClassVar = {"disagree": "label_noise"}

    method: Annotated[str, _one_of(SELECTION_METHODS, "method"), WithJsonSchema({"enum": [*SELECTION_METHODS]})] = "all"
    """all; random: a number of them; classifier: as label_noise says; herding and k_centre: greedily, by the
    classifier's features."""
    images: PositiveInt | None = None
    """How many to keep in all, as equal per class as they divide; null: as many as the method wants."""
    per_class: PositiveInt | None = None
    """How many to keep of each class, instead of images."""
    label_noise: Literal["keep", "drop", "relabel"] = "keep"
    """What becomes of an image that a classifier trained on the real train split gives another label than its own."""
    confidence: UnitInterval = 0.5
    """label_noise acts only where the classifier gives its own label more probability than this."""
    seed: NonNegativeInt = 0
    """Of the method random."""

    @property
    def needs_classifier(self) -> bool:
        return SELECTION_METHODS[self.method].needs_classifier

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
        if SELECTION_METHODS[self.method].needs_count and not count:
            raise ValueError(f"method '{self.method}' needs images or per_class")
        if self.label_noise != "keep" and not self.needs_classifier:
            raise ValueError(
                f"method '{self.method}' uses no classifier; label_noise: {self.label_noise} needs 'classifier'"
            )
        return self


class SamplingSetup(Block):
    """A solver, guidance and selection that a pilot tries together."""

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
