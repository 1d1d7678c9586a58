"""Several sets judged alike: a row for each, and why some do not compare."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from scipy.stats import t as student

from diffdistill.config.stages import ComparedSet
from diffdistill.errors import UserError
from diffdistill.report import results, tables
from diffdistill.report.means import mean_of
from diffdistill.report.results import Experiment, SetFacts
from diffdistill.runtime import files

LEVEL = 0.95
"""Of the intervals."""
RUN = ("accuracy", "seed", "protocol", "tested_on")
MEASURED = ("features_sha256", "classifier_sha256", "classes", "fid", "label_agreement")


@dataclass(frozen=True)
class Way:
    """How a set was judged: only sets with the same one compare."""

    tested_on: str
    protocol: str
    soft_labels: bool
    """Whether it came with rows of probabilities, although it was trained on with the most probable classes."""

    def unlike(self, other: "Way") -> str:
        """What differs from the other one, in words."""
        found = [] if self.tested_on == other.tested_on else ["another test split"]
        a, b = json.loads(self.protocol), json.loads(other.protocol)
        keys = [key for key in a | b if a.get(key) != b.get(key)]
        if normalised := [key for key in keys if key in ("mean", "std")]:
            found.append(f"another normalisation ({', '.join(normalised)})")
        if others := [key for key in keys if key not in normalised]:
            found.append(f"another protocol ({', '.join(others)})")
        if self.soft_labels != other.soft_labels:
            found.append("soft labels, judged as hard ones" if self.soft_labels else "no soft labels")
        return "; ".join(found)


@dataclass(frozen=True)
class Member:
    """A set, and what its files say."""

    name: str
    runs: pd.DataFrame
    real_runs: pd.DataFrame
    real: SetFacts
    way: Way
    per_class: int | None = None
    experiment: Experiment | None = None
    measured: dict[str, Any] | None = None


def read(name: str, one: ComparedSet) -> Member:
    """Raises UserError if a file is missing or broken, or if trainings on one set differ in protocol or test split."""
    runs, reported = _runs(one.runs), one.experiment
    if len(runs[["protocol", "tested_on"]].drop_duplicates()) > 1:
        raise UserError(f"{Path(one.runs[0]).parent}: trainings differ in protocol or test split; delete them")
    first, experiment = runs.iloc[0], None if reported is None else results.read(name, reported)
    soft = experiment is not None and bool(experiment.generator.get("soft_labels"))
    return Member(
        name=name,
        runs=runs,
        real_runs=_runs(one.real_runs),
        real=results.set_facts(Path(one.real)),
        way=Way(str(first["tested_on"]), str(first["protocol"]), soft),
        per_class=one.per_class,
        experiment=experiment,
        measured=None if one.measured is None else files.read_record(one.measured, *MEASURED),
    )


def _runs(paths: Sequence[str]) -> pd.DataFrame:
    rows = [files.read_record(path, *RUN) for path in paths]
    return pd.DataFrame([{key: row[key] for key in RUN} for row in rows])


def judge(members: Sequence[Member]) -> pd.DataFrame:
    """A row per set: those that compare, then the others, with the reason in the column `not_compared`.

    Those that compare are the most that were judged in one way, of equally many the first. Raises UserError if no two
    were.
    """
    way, count = Counter(one.way for one in members).most_common(1)[0]
    if count < 2:
        first, *others = members
        why = [f"{one.name}: {one.way.unlike(first.way)}" for one in others]
        raise UserError(f"no two sets compare; unlike {first.name}, {', '.join(why)}")
    compared, others = [one for one in members if one.way == way], [one for one in members if one.way != way]
    best = max(compared, key=lambda one: float(one.runs["accuracy"].mean()))  # of equal ones the first
    measured = _equal_measures(compared)
    rows = [_row(one) | _difference(one, best) | measured.get(one.name, {}) for one in compared]
    rows += [_row(one) | {"not_compared": one.way.unlike(way)} for one in others]
    return pd.DataFrame(rows, columns=COLUMNS).dropna(axis="columns", how="all")


COLUMNS = (
    "set", "mean", "std", "runs", "relative_accuracy", "difference", "difference_low", "difference_high", "seeds",
    "images_per_class", "images", "images_share", "bytes", "generator_bytes", "training_seconds", "seconds",
    "fid", "fid_images", "label_agreement", "audit", "not_compared",
)  # fmt: skip


def _row(member: Member) -> dict[str, Any]:
    experiment, real = member.experiment, member.real
    row = {"set": member.name, **mean_of(member.runs, float(member.real_runs["accuracy"].mean()))}
    if experiment is None:
        images = real.images if member.per_class is None else member.per_class * len(real.classes)
        size = real.bytes if member.per_class is None else images * real.image_bytes
        return row | _counts(images, real) | {"bytes": size}
    distilled, audit = experiment.distilled, experiment.audit
    assert distilled is not None
    return row | {
        **_counts(distilled.images, real),
        "bytes": distilled.bytes,
        "generator_bytes": experiment.generator_bytes,
        "training_seconds": tables.training_seconds(experiment),
        "seconds": experiment.sampling_seconds,
        "audit": "not audited" if audit is None else audit["verdict"],
    }


def _counts(images: int, real: SetFacts) -> dict[str, Any]:
    return {"images_per_class": images / len(real.classes), "images": images, "images_share": images / real.images}


def _difference(member: Member, best: Member) -> dict[str, Any]:
    """To the best set, over the seeds that both have: mean and paired t interval, which needs two seeds."""
    if member is best:
        return {}
    a, b = (one.runs.set_index("seed")["accuracy"] for one in (member, best))
    pairs = (a - b).dropna().sort_index()
    if pairs.empty:
        return {"seeds": "none in common"}
    mean, found = float(pairs.mean()), {"seeds": ", ".join(map(str, pairs.index))}
    if len(pairs) < 2:
        return {"difference": mean, **found}
    half = float(student.ppf((1 + LEVEL) / 2, len(pairs) - 1) * pairs.std(ddof=1) / len(pairs) ** 0.5)
    return {"difference": mean, "difference_low": mean - half, "difference_high": mean + half, **found}


def _equal_measures(members: Sequence[Member]) -> dict[str, dict[str, Any]]:
    """FID and label agreement by set: those measured with the networks of the first, at equal numbers of images."""
    measured = {one.name: one.measured for one in members if one.measured is not None}
    networks = [(each["features_sha256"], each["classifier_sha256"]) for each in measured.values()]
    alike = {
        name: each for (name, each), used in zip(measured.items(), networks, strict=True) if used == networks[0]
    }  # fmt: skip
    found = {name: {"label_agreement": each["label_agreement"]} for name, each in alike.items()}
    common = set.intersection(*(set(each["fid"]) for each in alike.values())) if alike else set()
    if common:
        rung = max(common, key=int)
        for name, each in alike.items():
            found[name] |= {"fid": each["fid"][rung], "fid_images": int(rung) * each["classes"]}
    return found
