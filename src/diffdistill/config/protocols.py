"""The ECCV 2024 challenge's protocols by name, for `evaluate.protocol: track1` and `track2`.

https://github.com/DataDistillation/ECCV2024-Dataset-Distillation-Challenge, evaluate.py. The published evaluation
trains `range(Epoch + 1)` epochs: 1,001 for track 1. Track 2 is known from a participant's copy only, with 101 epochs
and any number of images. What the two share are the defaults of `Protocol`.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from diffdistill.config.refine import Refine
from diffdistill.config.source import Source

EPOCHS: Mapping[str, int] = {"track1": 1001, "track2": 101}
TRACK1_PER_CLASS = 10
NORMALISATION: Mapping[str, Mapping[str, tuple[float, float, float]]] = {
    "cifar100": {"mean": (0.5071, 0.4866, 0.4409), "std": (0.2673, 0.2564, 0.2762)},
    "tinyimagenet": {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)},
}
"""By `Source.known_set`; of any other, mean and standard deviation of the train set are taken."""


def values_of(name: str, known_set: str | None) -> dict[str, Any]:
    """The values of a named protocol for a `Source.known_set`; what it leaves out are the defaults of `Protocol`."""
    return {"epochs": EPOCHS[name], **NORMALISATION.get(known_set or "", {})}


def with_named_protocol(experiment: Any) -> Any:
    """An experiment's plain values, with a protocol's name, `track2` or `{ name: track2 }`, replaced by its values.

    Values beside `name` replace those of the protocol, so that a second file can overlay some of them.
    Raises ValueError for an unknown name, or if track 1 is given another number of images than it tests.
    """
    evaluate = experiment.get("evaluate") if isinstance(experiment, Mapping) else None
    if not isinstance(evaluate, Mapping):
        return experiment
    given = evaluate.get("protocol")
    own = dict(given) if isinstance(given, Mapping) else {"name": given}
    if not isinstance(name := own.pop("name", None), str):
        return experiment
    if name not in EPOCHS:
        raise ValueError(f"evaluate.protocol: no protocol is called '{name}'; known: {', '.join(EPOCHS)}")
    if name == "track1" and _per_class(experiment) != TRACK1_PER_CLASS:
        raise ValueError(
            f"evaluate.protocol track1 tests {TRACK1_PER_CLASS} images per class; set select: {{method: random, "
            f"per_class: {TRACK1_PER_CLASS}}}, or refine: {{images_per_class: {TRACK1_PER_CLASS}, factor: 1}}"
        )
    values = values_of(name, _known_set(experiment.get("source"))) | own
    return {**experiment, "evaluate": {**evaluate, "protocol": values}}


def _known_set(source: Any) -> str | None:
    """Of a source's plain values; None for a source that is refused with a message of its own."""
    try:
        return Source.model_validate(source).known_set
    except ValidationError:
        return None


def _per_class(experiment: Mapping[str, Any]) -> Any:
    """Images per class of the distilled set, from plain values; None if a budget decides."""
    select, refine = experiment.get("select"), experiment.get("refine")
    if refine is None:
        return select.get("per_class") if isinstance(select, Mapping) else None
    if not isinstance(refine, Mapping) or refine.get("factor", 1) != 1:
        return None  # a stored image would count as several
    return refine.get("images_per_class", Refine.model_fields["images_per_class"].default)
