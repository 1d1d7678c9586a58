"""How good a distilled set is, what limits it, whether it copies its source, and what to change: in sentences.

Each sentence follows from a measured number by a rule that stands here; none of them looks at the test split but the
first. They are rules of thumb to start from.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from diffdistill.report import tables
from diffdistill.report.results import Results

GOOD = 0.98
"""Share of the real accuracy from which little is left to win."""
LABELS_WRONG = 0.03
"""By how much less a classifier may agree with generated labels than with real ones of validation."""
LITTLE_RECALL = 0.6
"""Share of real images that lie among generated ones, below which much is missing."""
STILL_FALLING = 0.97
"""Of the FID before the last, below which the last says that training is not over."""
OVERHEAD = 0.2
"""Share of the budget that may go into all but drawing."""


@dataclass(frozen=True)
class Answer:
    question: str
    sentences: list[str]


def answers(results: Results, name: str, audit: dict[str, Any]) -> list[Answer]:
    """Of one experiment; audit: what the rule of that name found."""
    runs = tables.accuracies({name: results.accuracy[name]}, {name: results.baselines[name]})
    rows = {row["train_set"]: row for row in runs.to_dict("records")}
    found = list(_limits(results, name, rows))
    limits = [limit for limit, _ in found] or ["Nothing that was measured stands out."]
    changes = [change for _, change in found] or ["Nothing has to change; a longer training or budget may still pay."]
    return [
        Answer("How good is it?", list(_quality(rows))),
        Answer("What limits it?", limits),
        Answer("Is it private?", list(_privacy(audit))),
        Answer("What to change?", changes),
    ]


def _quality(rows: dict[str, Any]) -> Iterator[str]:
    generated, random, real = (rows[name] for name in ("distilled", "real-random", "real"))
    accuracy = _accuracy(generated)
    kept = "" if pd.isna(generated["kept"]) else f", {generated['kept']:.1%} of what all real images give"
    yield f"ConvNets that saw generated images alone reach {accuracy} on real test images{kept}."
    if "drawn" in rows:
        said = [f"all {rows['drawn']['images']:,} that were drawn reach {_accuracy(rows['drawn'])}"]
        if "drawn-random" in rows:
            said.insert(0, f"as many of the drawn images, not selected, {_accuracy(rows['drawn-random'])}")
        yield f"It is a selection: {'; '.join(said)}."
    if random["images"] < real["images"]:
        difference = generated["mean"] - random["mean"]
        than = f"{random['images']:,} real images at random, as many as were generated"
        yield f"That is {abs(difference):.4f} {'more' if difference >= 0 else 'less'} than {than}."


def _accuracy(row: dict[str, Any]) -> str:
    return tables.spread(row["mean"], row["std"])


def _limits(results: Results, name: str, rows: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What limits the set, and what to change about it."""
    generated, random, real = (rows[name] for name in ("distilled", "real-random", "real"))
    fid, account = next(iter(tables.by_length(results.fid[name]).values())), results.budget[name]
    best = tables.lowest(fid)
    agreement, validation = best.get("label_agreement"), best.get("label_agreement_validation")
    recall = best.get("recall")
    if not (pd.isna(agreement) or pd.isna(validation)) and validation - agreement > LABELS_WRONG:
        yield (
            f"Labels: a classifier trained on real images agrees with {agreement:.1%} of the generated labels, "
            f"and with {validation:.1%} of real ones that it has not seen.",
            "Train longer, or let that classifier mend labels: select.method: classifier, select.label_noise: relabel.",
        )
    if not pd.isna(recall) and recall < LITTLE_RECALL:
        yield (
            f"Variety: {recall:.0%} of the real images lie among generated ones.",
            "Train longer, or with more weights (model.embed_dim, model.depth); choose by pilot rather than FID.",
        )
    if len(fid) > 1 and best["step"] == fid["step"].iloc[-1] and best["fid"] < STILL_FALLING * fid["fid"].iloc[-2]:
        yield (
            f"Training: the last FID, {tables.distance(best['fid'])}, is the lowest, and was still falling.",
            "Raise train.iterations.",
        )
    if random["images"] < real["images"] and generated["mean"] > GOOD * random["mean"]:
        yield (
            "Number: generated images are worth about as much as real ones, but there are "
            f"{generated['images']:,} against {real['images']:,}.",
            "Draw more: a longer sample.budget_seconds, or fewer evaluations (sample.solver.steps).",
        )
    spent = account["seconds"]
    other = 1 - spent.get("draw", 0.0) / sum(spent.values())
    if account["budget_seconds"] and other > OVERHEAD:
        yield (
            f"Budget: {other:.0%} of the seconds went into all but drawing.",
            "Give a longer sample.budget_seconds, or set sample.compile: false where compiling took them.",
        )


def _privacy(audit: dict[str, Any]) -> Iterator[str]:
    share = audit["nearest"]["pixels"]["share_in_train"]
    yield (
        f"Of the real images nearest to generated ones, {share['value']:.0%} ({share['low']:.0%} to "
        f"{share['high']:.0%}) lie in the train split rather than in as many held out: 50 % if nothing is memorised."
    )
    equal = audit["equal_to_a_train_image"]
    yield f"{equal:,} of {audit['images']['generated']:,} generated images equal a train image to the pixel."
    if audit["flagged"]:
        yield f"Flagged as memorised: {'; '.join(audit['reasons'])}. Do not treat it as private."
    else:
        noticed = f" Noticed: {'; '.join(audit['noticed'])}." if audit["noticed"] else ""
        yield f"No limit of the audit is passed; that is no proof of privacy.{noticed}"
