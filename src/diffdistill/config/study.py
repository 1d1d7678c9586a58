"""Further trainings beside the main evaluation."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from diffdistill.config.evaluation import Protocol
from diffdistill.config.fields import Block, Integer, PositiveInt

TRAIN_SETS = ("distilled", "real-random", "real")
"""What a ConvNet is trained on: the generated images, as many random real ones, all real ones."""
DRAWN_SETS = ("drawn-random", "drawn")
"""Where a method selected the distilled set: as many random ones of the images that were drawn, all of these."""
Student = Literal["convnet", "resnet18", "vit_tiny", "mobilenet"]


class Run(Block):
    """One kind of training of a study, repeated for every seed; what stands at its default is as in `evaluate`."""

    family: str
    """Names what is varied; trainings of one family on other sets are its rivals."""
    part: Literal["length", "size", "budget", "student", "labels", "augment", "round"]
    train_set: Literal["distilled", "real-random", "real", "drawn-random"]
    epochs: PositiveInt | None = None
    equal_steps: bool = False
    """As many steps as `epochs` are on the distilled set."""
    images_per_class: PositiveInt | None = None
    budget_fraction: float | None = None
    student: Student = "convnet"
    labels: Literal["hard", "soft"] = "hard"
    augment: bool = True
    round: PositiveInt | None = None

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

    epochs: tuple[PositiveInt, ...] = ()
    """Other lengths, on all three sets; the challenge's are 101 and 1001."""
    equal_steps: bool = False
    """All three sets with as many steps as the distilled set takes in the protocol's epochs, or the first of these."""
    images_per_class: tuple[PositiveInt, ...] = ()
    """The first so many images of each class of the distilled set, and as many random real ones.

    Where a method selected the set, also as many random ones of those drawn.
    """
    budget_fractions: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = ()
    """The first images, this share of them: what a shorter budget had given."""
    students: tuple[Student, ...] = ()
    """Other networks, on all three sets."""
    soft_labels: bool = False
    """Targets from a classifier trained on the real train split, for the distilled set and for random real images."""
    no_augmentation: bool = False
    """The distilled set and random real images without augmentation: what the score ARS needs."""
    rounds: Annotated[Integer, Field(ge=0, le=100)] = 0
    """Distilled sets made anew, with the sampling seed + 1, + 2, …, of as many images as the main one."""

    def runs(self, protocol: Protocol, drawn_sets: Sequence[str] = ()) -> dict[str, Run]:
        """By name, what is trained beside the main evaluation, which trains the ConvNet by `protocol`.

        drawn_sets: those of DRAWN_SETS that the main evaluation compares the distilled set with.
        """
        at_random = [name for name in drawn_sets if name == "drawn-random"]
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
            plan(f"size-{count}", "size", (*TRAIN_SETS[:2], *at_random), images_per_class=count)
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
