"""The forms in which the distilled set leaves the workflow."""

from typing import Literal

from diffdistill.config.fields import Block, PositiveInt


class Export(Block):
    """The forms in which the distilled set leaves the workflow."""

    formats: tuple[Literal["images", "parquet", "challenge"], ...] = ("images", "challenge")
    """images: a zip of PNGs by class; parquet: for Hugging Face, needs pyarrow; challenge: the contest's tensor."""
    challenge_per_class: PositiveInt | None = None
    """Images per class in the contest's tensor (its first track demands 10); null: those of the smallest class."""
    licence: str | None = None
    """Licence of the source's images, for the card; null: what is known of the kind of source."""
