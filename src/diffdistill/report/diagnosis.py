"""How good and how large a distilled set is, what limits it, what its audit says, and what to change.

Each sentence follows from a measured number by a rule that stands here; only the first answer looks at the test split.
They are rules of thumb to start from.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from diffdistill.report import columns, tables
from diffdistill.report.results import Experiment

GOOD = 0.98
"""Relative accuracy from which little can be gained."""
WRONG_LABELS = 0.03
"""By how much the label agreement may be below that of real validation images."""
LOW_RECALL = 0.6
"""Share of real images that lie among generated ones, below which much is missing."""
STILL_FALLING = 0.97
"""Of the FID before the last one; a last FID below it says that training is not finished."""
OVERHEAD = 0.2
"""Share of the budget that may go into other phases than sampling."""

NOTHING = ("Nothing that was measured stands out.", "Nothing has to change; a longer training or budget may help.")


@dataclass(frozen=True)
class Answer:
    question: str
    sentences: list[str]


def answers(experiment: Experiment) -> list[Answer]:
    """Of one experiment; a question that its files do not answer is left out."""
    rows = rows_of(experiment)
    limits = list(_limits(experiment, rows))
    found = limits or ([NOTHING] if _sampled(experiment) else [])
    answered = [
        Answer("How good is it?", list(_quality(experiment, rows))),
        Answer("How large is it?", list(size(experiment))),
        Answer("What limits it?", [limit for limit, _ in found]),
        Answer(
            "Does it give its source away?", list(_privacy(experiment.audit)) if experiment.audit is not None else []
        ),
        Answer("What to change?", [change for _, change in found]),
    ]
    return [answer for answer in answered if answer.sentences]


def rows_of(experiment: Experiment) -> dict[str, dict[str, Any]]:
    """Its rows of the accuracy table by train set; none without an accuracy."""
    if not experiment.has("accuracy"):
        return {}
    rows = tables.accuracies([experiment]).to_dict("records")
    return {str(row["train_set"]): {str(key): value for key, value in row.items()} for row in rows}


def _sampled(experiment: Experiment) -> bool:
    """Whether the set was sampled here, rather than finished elsewhere."""
    return experiment.has("account") and not experiment.finished


def size(experiment: Experiment) -> Iterator[str]:
    """How many images and bytes the set has beside the real ones, and what decided their number."""
    images, real = experiment.distilled or experiment.samples, experiment.real
    if images is None:
        return
    share = columns.times(images.images / real.images).removesuffix("x")
    yield (
        f"The set has {images.images:,} images, {share} times as many as the {real.images:,} real train images: "
        f"{columns.size(images.bytes)} of pixels against {columns.size(real.bytes)}."
    )
    if images.stored_images != images.images:
        yield f"It stores them as {images.stored_images:,} images."
    if experiment.generator_bytes is not None:
        yield f"The weights of its generator take {columns.size(experiment.generator_bytes)}."
    as_sampled = experiment.samples is None or experiment.samples.images == images.images
    if as_sampled and (experiment.account or {}).get("budget_seconds"):
        yield "The method limits the time for sampling, not the number of images: a faster machine makes more of them."
    if images.empty_classes:
        yield f"{len(images.empty_classes):,} of its {len(images.classes):,} classes have no image."


def _quality(experiment: Experiment, rows: dict[str, Any]) -> Iterator[str]:
    if "distilled" not in rows:
        return
    distilled, random, real = rows["distilled"], rows.get("real-random"), rows.get("real")
    share = distilled["relative_accuracy"]
    relative = "" if pd.isna(share) else f", a relative accuracy of {share:.1%}"
    yield f"ConvNets trained on the distilled set alone reach {_accuracy(distilled)} on real test images{relative}."
    compared = []
    if "random-samples" in rows:
        compared.append(f"as many random samples reach {_accuracy(rows['random-samples'])}")
    if "all-samples" in rows:
        samples = rows["all-samples"]
        compared.append(f"all {samples['images']:,} samples reach {_accuracy(samples)}")
    if compared:
        what = "a selection" if experiment.refined is None else "refined from samples"
        yield f"The set is {what}: {'; '.join(compared)}."
    if random is not None and (real is None or random["images"] < real["images"]):
        difference = distilled["mean"] - random["mean"]
        more = "more" if difference >= 0 else "less"
        yield f"That is {abs(difference):.4f} {more} than {random['images']:,} random real images, which are as many."


def _accuracy(row: dict[str, Any]) -> str:
    return columns.mean_std(row["mean"], row["std"])


def _limits(experiment: Experiment, rows: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What limits the set, and what to change about it."""
    if experiment.fid is not None:
        yield from _limits_of_training(next(iter(tables.by_ema(experiment.fid).values())))
    if {"distilled", "real-random", "real"} <= set(rows):
        distilled, random, real = (rows[name] for name in ("distilled", "real-random", "real"))
        if random["images"] < real["images"] and distilled["mean"] > GOOD * random["mean"]:
            more = "Add images to the set."
            if experiment.refined is not None:
                more = "Raise refine.images_per_class."
            elif _sampled(experiment):
                more = "Sample more: raise sample.budget_seconds, or lower sample.solver.nfe."
            yield (
                "Number: the set trains about as well as the same number of real images, but it has "
                f"{distilled['images']:,} images against {real['images']:,}.",
                more,
            )
    account = experiment.account or {}
    seconds = account.get("seconds")
    if isinstance(seconds, dict) and account.get("budget_seconds"):
        other = 1 - seconds.get("sample", 0.0) / max(sum(seconds.values()), 1e-9)
        if other > OVERHEAD:
            yield (
                f"Budget: {other:.0%} of the seconds went into other phases than sampling.",
                "Raise sample.budget_seconds, or set sample.compile: false if compiling took them.",
            )


def _limits_of_training(fid: pd.DataFrame) -> Iterator[tuple[str, str]]:
    best = tables.lowest(fid)
    agreement, validation = best.get("label_agreement"), best.get("label_agreement_validation")
    recall = best.get("recall")
    if not (pd.isna(agreement) or pd.isna(validation)) and validation - agreement > WRONG_LABELS:
        yield (
            f"Labels: the classifier trained on real images agrees with {agreement:.1%} of the labels of samples, and "
            f"with {validation:.1%} of those of real validation images.",
            "Train longer, or let the classifier correct labels: select.method: classifier and select.label_noise: "
            "relabel.",
        )
    if not pd.isna(recall) and recall < LOW_RECALL:
        yield (
            f"Variety: {recall:.0%} of the real images lie among generated ones.",
            "Train longer or a larger network (block model); set checkpoint.by: pilot instead of fid.",
        )
    if len(fid) > 1 and best["step"] == fid["step"].iloc[-1] and best["fid"] < STILL_FALLING * fid["fid"].iloc[-2]:
        yield (
            f"Training: the last FID, {columns.distance(best['fid'])}, is the lowest and was still falling.",
            "Raise train.iterations.",
        )


def _privacy(audit: dict[str, Any] | None) -> Iterator[str]:
    """What the audit found, and what it cannot show."""
    if audit is None:
        return
    compared = audit["images"]["generated"]
    yield f"The audit compared {compared:,} generated images with real ones; its verdict is: {audit['verdict']}."
    for verdict, lead in (("flagged", "Flagged"), ("cannot tell", "Cannot tell")):
        for measure in audit["measures"]:
            if measure["verdict"] == verdict:
                yield f"{lead}: {measure['name']}, {measure['reason']}."
    if audit["verdict"] != "pass":
        yield "Do not treat the set as private; it is not exported unless the config names these measures."
    yield str(audit["cannot_show"])
