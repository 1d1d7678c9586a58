"""How a small set is refined: by which method, from which start, and for how long."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from diffdistill.config.evaluation import Protocol
from diffdistill.config.fields import Block, NonNegativeInt, PositiveFloat, PositiveInt, UnitInterval
from diffdistill.config.sampling import Solver


class Refine(Block):
    """How a small set is refined, until networks react to it as to the train split."""

    method: Literal["distribution_matching", "mmd", "gradient_matching"] = "distribution_matching"
    """distribution_matching: class means in the features of random ConvNets; mmd: whole distributions there, by their
    maximum mean discrepancy; gradient_matching: gradients of a ConvNet's weights, several times slower."""
    start: Literal["generated", "real", "noise"] = "generated"
    """generated: images of the selection; real: of the train split; noise: nothing is sampled."""
    start_pick: Literal["modes", "random"] = "modes"
    """Which images of the start: those nearest to k-means centres of their class, or random ones."""
    images_per_class: PositiveInt = 10
    """Stored images; with a factor each of them gives factor squared to train on."""
    factor: PositiveInt = 1
    """Images along a side of the grid that one stored image holds; 1: a stored image is one image."""
    parametrisation: Literal["pixels", "latent"] = "pixels"
    """latent: the noise that a generator maps to the image is refined, so that images stay among those it makes."""
    solver: Solver = Solver(algorithm="consistency", nfe=2)
    """Of parametrisation latent: what maps noise to images. Each of its evaluations is passed through backwards too."""
    iterations: PositiveInt = 2000
    """Iterations in all; each changes the set once."""
    budget_seconds: PositiveFloat | None = None
    """Refining ends at the first iteration beyond these seconds, whole iterations and validation included; null: all
    iterations."""
    batch_real: PositiveInt = 64
    """Real images per class and iteration."""
    learning_rate: PositiveFloat = 0.01
    """Of Adam, for images in 0..1 divided by the protocol's std, or for noise."""
    decay: Literal["none", "linear"] = "none"
    """Of the learning rate; linear: to 0 at the last iteration, which a budget should then not cut short."""
    betas: tuple[UnitInterval, UnitInterval] = (0.5, 0.99)
    """Of Adam: decays of the means of the gradient and of its square."""
    network_iterations: PositiveInt = 1
    """Iterations that one network is matched for before the next one starts from random weights."""
    network_steps: NonNegativeInt = 0
    """Steps on real images that a network is trained for after each of its iterations; 0: random weights, as published
    for distribution_matching."""
    network_learning_rate: PositiveFloat = 0.01
    """Of SGD in network_steps; momentum and weight decay are the protocol's."""
    network_batch: PositiveInt = 256
    """Real images per step of network_steps."""
    width: PositiveInt | None = None
    """Of the networks that are matched; null: the protocol's."""
    augment: str | None = None
    """Families of the Siamese augmentation; null: the protocol's."""
    augment_mode: Literal["one", "each"] | None = None
    """one: a random family per class and iteration; each: all of them; null: the protocol's."""
    validate_every: PositiveInt = 500
    """Iterations between two short trainings on the set, tested on validation; the best set so far is the result."""
    validation: Protocol | None = None
    """How ConvNets are trained to validate the set; null: the experiment's protocol in a quarter of its steps or
    epochs."""
    validation_seeds: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)] = (0, 1, 2)
    """Seeds of the trainings at a validation, one each."""
    save_seconds: PositiveFloat = 60.0
    """Seconds between two saves of the progress."""
    seed: NonNegativeInt = 0
    """Of the start, the networks, the real images and the augmentation."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.validation_seeds)) != len(self.validation_seeds):
            raise ValueError(f"validation_seeds {list(self.validation_seeds)} contain one twice")
        if self.network_steps and self.network_iterations == 1:
            raise ValueError("network_steps train a network between its iterations; network_iterations must be above 1")
        if self.parametrisation == "latent" and self.factor > 1:
            raise ValueError("factor is for parametrisation pixels: a generator makes one image of one noise")
        if self.parametrisation == "latent" and self.start == "real":
            raise ValueError(
                "parametrisation latent starts from noise; the noise of real images is unknown; change start"
            )
        return self

    def completed(self, protocol: Protocol) -> Self:
        """With the experiment's protocol where a value is null and the protocol has one."""
        quarter = {name: max(1, value // 4) for name, value in protocol if name in ("steps", "epochs") and value}
        values = {
            "width": protocol.width,
            "augment": protocol.augment,
            "augment_mode": protocol.augment_mode,
            "validation": protocol.model_copy(update=quarter),
        }
        return self.model_copy(update={name: value for name, value in values.items() if getattr(self, name) is None})

    def learning_rate_at(self, iteration: int) -> float:
        """Of iteration 0, 1, …"""
        return self.learning_rate * (1 - iteration / self.iterations if self.decay == "linear" else 1)

    @property
    def from_samples(self) -> bool:
        """Whether refining starts from the selection of samples."""
        return self.start == "generated" and self.parametrisation == "pixels"

    @property
    def from_generator(self) -> bool:
        """Whether it needs samples or the weights that make them."""
        return self.from_samples or self.parametrisation == "latent"

    @property
    def start_images(self) -> int:
        """Images per class that the start takes."""
        return self.images_per_class * self.factor**2
