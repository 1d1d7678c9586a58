"""What must fit between an experiment and its data: checked in the dry run where the data are known, else in `prepare`.

Bundled and published sets are known before anything is read, other sources once they have been prepared.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

from diffdistill.config.experiment import Experiment
from diffdistill.config.fields import Block, Integer, short
from diffdistill.config.model import UNetModel, UViTModel
from diffdistill.config.source import Source

NAMED = 20
"""Classes that a message names."""


class Facts(Block):
    """What is known of a data set."""

    classes: Integer
    fewest: Integer
    """Train images of the smallest class, after validation and test images have been cut."""
    images: Integer
    """Train images of all classes."""
    height: Integer
    width: Integer
    class_names: tuple[str, ...] = ()
    """In the order of their numbers; empty: not known."""


PUBLISHED = {
    "digits": Facts(classes=10, fewest=174, images=1797, height=8, width=8, class_names=tuple("0123456789")),
    "cifar100": Facts(classes=100, fewest=500, images=50_000, height=32, width=32),
    "tinyimagenet": Facts(classes=200, fewest=500, images=100_000, height=64, width=64),
}
"""By `Source.known_set`, before anything is cut."""


class Limit(Block):
    """A number of the config that the data bound."""

    key: str
    value: Integer
    rule: Literal[
        "an image of each class",
        "a class has so many",
        "there are so many",
        "the samples have so many",
        "divides",
        "halves",
        "a class is called so",
    ]
    samples: Integer = 0
    """Images in all, for the rule about samples."""
    patch: Integer = 1
    """Side in pixels of what counts as one position, for the rule about halves."""
    name: str = ""
    """For the rule about names."""

    def problem(self, facts: Facts) -> str | None:
        """What is wrong, in one line without the file; None if nothing is."""
        side = min(facts.height, facts.width)
        share = self.samples // facts.classes
        if self.rule == "an image of each class" and self.value < facts.classes:
            return f"there are {facts.classes} classes, and some would have no image; raise it"
        if self.rule == "a class has so many" and self.value > facts.fewest:
            return f"a class has {facts.fewest} train images; lower it"
        if self.rule == "there are so many" and self.value * facts.classes > facts.images:
            return f"{facts.classes} classes have {facts.images} train images in all; lower it"
        if self.rule == "the samples have so many" and self.value > share:
            return f"{self.samples} samples of {facts.classes} classes give {share} per class; lower it, or sample more"
        if self.rule == "divides" and side % self.value:
            return f"images have a side of {side} pixels, which is no multiple of it; choose a divisor"
        if self.rule == "halves" and (side // self.patch) >> self.value < 1:
            patches = f", {side // self.patch} patches of {self.patch}" if self.patch > 1 else ""
            return f"images have a side of {side} pixels{patches}, which cannot be halved so often; lower it"
        if self.rule == "a class is called so" and facts.class_names and self.name not in facts.class_names:
            return unknown_class(self.name, facts.class_names)
        return None


def unknown_class(name: str, known: Sequence[str]) -> str:
    """That there is no such class, and the nearest one or those that there are."""
    near = difflib.get_close_matches(name, known, n=1)
    more = ", …" if len(known) > NAMED else ""
    hint = f"did you mean {short(near[0])}?" if near else f"known: {', '.join(known[:NAMED])}{more}"
    return f"no class {short(name)}; {hint}"


def limits(experiment: Experiment) -> list[Limit]:
    """All that the data bound, by key within the experiment."""
    return [*_of_samples(experiment), *_of_classes(experiment), *_of_sides(experiment)]


def _of_samples(one: Experiment) -> Iterator[Limit]:
    """Numbers of images that are sampled, selected or refined, and what is taken of them."""
    sampled = one.sample.images if one.sample is not None else None
    left = sampled
    # counts by name say themselves which classes have no image
    counts = one.sample.counts if one.sample is not None and not isinstance(one.sample.counts, str) else {}
    for name, count in counts.items():
        yield Limit(key=f"sample.counts.{name}", value=count, rule="a class is called so", name=name)
    if sampled is not None and not counts:
        yield Limit(key="sample.images", value=sampled, rule="an image of each class")
    if one.select.images is not None:
        if not counts:
            yield Limit(key="select.images", value=one.select.images, rule="an image of each class")
        left = one.select.images if left is None else min(left, one.select.images)
    if one.select.per_class is not None and sampled is not None:
        yield Limit(
            key="select.per_class", value=one.select.per_class, rule="the samples have so many", samples=sampled
        )
    start = one.refine if one.refine is not None and one.refine.parametrisation == "pixels" else None
    if start is not None and start.start == "generated" and left is not None:
        key, value = "refine.images_per_class", start.start_images
        yield Limit(key=key, value=value, rule="the samples have so many", samples=left)
    yield from _of_the_set(one, left)


def _of_the_set(one: Experiment, left: int | None) -> Iterator[Limit]:
    """What is taken of the distilled set; left: its images in all, None if a budget decides."""
    taken = [("study.images_per_class", count) for count in (one.study.images_per_class if one.study else ())]
    if one.export.challenge_per_class is not None and "challenge" in one.export.formats:
        taken.append(("export.challenge_per_class", one.export.challenge_per_class))
    if one.refine is not None:
        left = None
    for key, value in taken:
        if left is not None:
            yield Limit(key=key, value=value, rule="the samples have so many", samples=left)
    for count in one.study.images_per_class if one.study else ():
        yield Limit(key="study.images_per_class", value=count, rule="there are so many")


def _of_classes(one: Experiment) -> Iterator[Limit]:
    """Train images of a class that are clustered or refined."""
    if one.train is not None:
        yield Limit(key="train.subclasses", value=one.train.subclasses, rule="a class has so many")
    if one.sample is not None and one.sample.modes is not None:
        yield Limit(key="sample.modes.per_class", value=one.sample.modes.per_class, rule="a class has so many")
    if one.refine is not None and one.refine.start == "real":
        yield Limit(key="refine.images_per_class", value=one.refine.start_images, rule="a class has so many")


def _of_sides(one: Experiment) -> Iterator[Limit]:
    """How networks cut an image up."""
    if isinstance(one.model, UViTModel | UNetModel):
        yield Limit(key="model.patch_size", value=one.model.patch_size, rule="divides")
    if isinstance(one.model, UNetModel):
        halved, patch = len(one.model.multipliers) - 1, one.model.patch_size
        yield Limit(key="model.multipliers", value=halved, rule="halves", patch=patch)
    protocols = {
        "evaluate.protocol": one.evaluate.protocol,
        "classifier.protocol": one.classifier.protocol,
        "checkpoint.protocol": one.checkpoint.protocol,
        "refine.validation": one.refine.validation if one.refine is not None else None,
    }
    for key, protocol in protocols.items():
        if protocol is not None:
            yield Limit(key=f"{key}.depth", value=protocol.depth, rule="halves")
    if one.refine is not None:
        yield Limit(key="refine.factor", value=one.refine.factor, rule="divides")


def limits_of(experiments: Mapping[str, Experiment]) -> tuple[Limit, ...]:
    """The limits of several experiments on one data set, each with its full key; equal ones once."""
    found: dict[str, Limit] = {}
    for name, one in experiments.items():
        for limit in limits(one):
            full = limit.model_copy(update={"key": f"experiments.{name}.{limit.key}"})
            found.setdefault(limit.model_dump_json(), full)
    return tuple(found.values())


def problems(limits: Iterable[Limit], facts: Facts | None) -> list[str]:
    """What does not fit, a line each: key, value, and what to do; nothing where nothing is known."""
    if facts is None:
        return []
    found = [(limit, limit.problem(facts)) for limit in limits]
    return [f"{limit.key} {limit.value}: {problem}" for limit, problem in found if problem is not None]


def published(source: Source) -> Facts | None:
    """What is known of a source before it is read; None if nothing is."""
    whole = PUBLISHED.get(source.known_set or "")
    if whole is None:
        return None
    cut = sum(_cuts(source).values())
    return whole.model_copy(update={"fewest": whole.fewest - cut, "images": whole.images - whole.classes * cut})


def cut_problem(source: Source, facts: Facts | None) -> str | None:
    """What is wrong if the splits that are cut leave a class without train images; None if nothing is."""
    if facts is None or facts.fewest > 0:
        return None
    values = " and ".join(f"{key} {value}" for key, value in _cuts(source).items())
    whole = facts.fewest + sum(_cuts(source).values())
    return f"{values} leave no train images of the smallest class, which has {whole}; cut fewer"


def _cuts(source: Source) -> dict[str, int]:
    """Images per class that are cut from the train images, by key; published test splits are taken as they are."""
    keys = ("validation_per_class", "test_per_class") if source.kind == "digits" else ("validation_per_class",)
    return {key: value for key in keys if (value := getattr(source, key))}
