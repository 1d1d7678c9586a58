"""Further trainings beside the main evaluation."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from diffdistill.config.evaluation import Protocol, TrainSet
from diffdistill.config.fields import Block, Integer, PositiveFloat, PositiveInt

TRAIN_SETS: tuple[TrainSet, ...] = ("distilled", "real-random", "real")
"""The distilled set, as many random real images, all real images."""
SAMPLE_SETS: tuple[TrainSet, ...] = ("random-samples", "all-samples")
"""If the distilled set is a selection: as many random samples, all samples."""
Architecture = Literal["convnet", "resnet18", "vit_tiny", "mobilenet"]


class Run(Block):
    """One training of a study, repeated for every seed; defaults are those of `evaluate`."""

    ablation: str
    """Names what is varied; trainings of the same ablation on other sets are compared with it."""
    axis: Literal["length", "size", "budget", "architecture", "labels", "augment", "resampling", "mix"]
    train_set: TrainSet
    epochs: PositiveInt | None = None
    equal_steps: bool = False
    """As many steps as `epochs` take on the distilled set."""
    images_per_class: PositiveInt | None = None
    budget_fraction: float | None = None
    architecture: Architecture = "convnet"
    labels: Literal["hard", "soft"] = "hard"
    augment: bool = True
    resampling: PositiveInt | None = None
    mix: float | None = None
    """All real images, and so many times as many of the distilled set."""

    @property
    def name(self) -> str:
        return f"{self.ablation}-{self.train_set}"

    @property
    def full_real_run(self) -> str | None:
        """The run on all real images, which equals this one if the distilled set is as large as the real one."""
        has_one = self.train_set == "real-random" and self.axis in ("length", "architecture")
        return f"{self.ablation}-real" if has_one else None


class Study(Block):
    """Further trainings beside the main evaluation, with its protocol and seeds; docs/evaluation.md."""

    renamed: ClassVar = {"students": "architectures", "rounds": "resamplings"}

    epochs: tuple[PositiveInt, ...] = ()
    """Other lengths, on all three sets; the challenge's are 101 and 1001."""
    equal_steps: bool = False
    """All three sets with as many steps as `protocol.epochs`, or the first of `epochs`, take on the distilled set."""
    images_per_class: tuple[PositiveInt, ...] = ()
    """The first n images per class of the distilled set, stored ones if it is in grids; n random real ones; for a
    selection also n random samples."""
    budget_fractions: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = ()
    """The first part of the samples: what a shorter budget would have given."""
    architectures: tuple[Architecture, ...] = ()
    """Other networks, on all three sets."""
    soft_labels: bool = False
    """Targets from the classifier, for the distilled set and for random real images."""
    no_augmentation: bool = False
    """The distilled set and random real images without augmentation, which the score ARS needs."""
    resamplings: Annotated[Integer, Field(ge=0, le=100)] = 0
    """Distilled sets of equal size, sampled with seed + 1, seed + 2, …"""
    mix: tuple[PositiveFloat, ...] = ()
    """All real images and so many times as many of the distilled set, such as [0.5, 1, 2]."""

    def runs(self, protocol: Protocol, sample_sets: Sequence[str] = ()) -> dict[str, Run]:
        """Trainings by name. protocol: that of the main evaluation; sample_sets: its SAMPLE_SETS."""
        at_random = [name for name in sample_sets if name == "random-samples"]
        planned: list[Run] = []

        def plan(ablation: str, axis: str, train_sets: Sequence[str], **changed: Any) -> None:
            for train_set in train_sets:
                values = {"ablation": ablation, "axis": axis, "train_set": train_set, **changed}
                planned.append(Run.model_validate(values))

        for epochs in self.epochs:
            if epochs != protocol.epochs:
                plan(f"epochs-{epochs}", "length", TRAIN_SETS, epochs=epochs)
        if self.equal_steps:
            plan("equal-steps", "length", TRAIN_SETS, equal_steps=True, epochs=self.epochs_in_steps(protocol))
        for count in self.images_per_class:
            plan(f"size-{count}", "size", (*TRAIN_SETS[:2], *at_random), images_per_class=count)
        for fraction in self.budget_fractions:
            plan(f"budget-{fraction}", "budget", TRAIN_SETS[:1], budget_fraction=fraction)
        for architecture in self.architectures:
            if architecture != "convnet":
                plan(architecture, "architecture", TRAIN_SETS, architecture=architecture)
        if self.soft_labels:
            plan("soft", "labels", TRAIN_SETS[:2], labels="soft")
        if self.no_augmentation:
            plan("no-augmentation", "augment", TRAIN_SETS[:2], augment=False)
        for resampling in range(1, self.resamplings + 1):
            plan(f"resampling-{resampling}", "resampling", TRAIN_SETS[:1], resampling=resampling)
        for times in self.mix:
            plan(f"mix-{times:g}", "mix", TRAIN_SETS[:1], mix=times)
        return {run.name: run for run in planned}

    def epochs_in_steps(self, protocol: Protocol) -> int | None:
        """The epochs that `equal_steps` counts on the distilled set; None if neither names any."""
        return protocol.epochs or next(iter(self.epochs), None)
