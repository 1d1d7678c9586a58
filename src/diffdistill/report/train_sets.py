"""The train sets of an evaluation, and what readers see of them: in tables, figures, page, card and summary."""

from dataclasses import dataclass

from diffdistill.report.style import BLUE, GREEN, GREY, SKY


@dataclass(frozen=True)
class TrainSet:
    title: str
    """As text and tables call it."""
    label: str
    """Short, for figures."""
    color: str
    generated: bool


TRAIN_SETS: dict[str, TrainSet] = {
    "distilled": TrainSet("distilled set", "distilled", BLUE, True),
    "random-samples": TrainSet("as many random samples", "random samples", SKY, True),
    "all-samples": TrainSet("all samples", "all samples", SKY, True),
    "real-random": TrainSet("random real images", "real, random", GREY, False),
    "real": TrainSet("all real images", "real, all", GREEN, False),
}
"""By the name in the column `train_set`, in the order in which they are shown.

`real-random` has as many images as the distilled set, or all real ones if there are fewer.
"""
