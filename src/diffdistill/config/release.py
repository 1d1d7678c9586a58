"""Which findings of the audit do not keep a set from being exported."""

from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

from diffdistill.config.fields import Block, short

MEASURES = (
    "identical", "copies", "nearest_neighbour", "nearest_neighbour_features", "membership_distance",
    "membership_distance_tail", "membership_loss", "membership_loss_tail", "label_agreement",
)  # fmt: skip
"""All measures of the audit by name; `diffdistill.metrics.gate` has their thresholds."""


def _known(name: str) -> str:
    if name not in MEASURES:
        raise ValueError(f"unknown measure {short(name)}; known: {', '.join(MEASURES)}")
    return name


class Release(Block):
    """What lets a set be exported although its audit does not pass."""

    despite: tuple[Annotated[str, AfterValidator(_known), WithJsonSchema({"enum": [*MEASURES]})], ...] = ()
    """Measures of the audit that are flagged, or cannot tell, and are overridden; the card names them."""
