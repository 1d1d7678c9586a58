"""Reads an archive, a folder or the bundled digits; writes train, validation and test splits: images and labels.

A split that the source does not publish is cut from its train images before anything else happens, test before
validation.
"""

import json
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from diffdistill.config import checks, stages
from diffdistill.config.source import Source
from diffdistill.data import fetching, groups, identity, image_files, readers, splits, tree
from diffdistill.data.raw import Array, RawData, SourceError, Split
from diffdistill.errors import UserError
from diffdistill.runtime import files
from diffdistill.runtime.program import Job

logger = logging.getLogger(__name__)

ROWS = 1000
"""Images that are in memory at once, where the reader leaves them on disk."""


@dataclass(frozen=True)
class _Part:
    """The images of one split: some rows of a published one."""

    split: Split
    rows: Array
    groups: Array | None
    """int64, of all rows of `split`."""


def main(job: Job[stages.Prepare]) -> None:
    source = job.settings.source
    path = _path(source, job.inputs.get("source", []))
    if source.checksum is not None and path.is_file():
        fetching.require(path, source.checksum, "source.checksum")
    try:
        raw = readers.read(path, source)
        found = _groups(source, raw)
        parts = _parts(source, raw, found)
    except SourceError as error:
        raise UserError(f"source: {error} (source.{error.argument})") from error
    except UserError as error:
        raise UserError(f"source: {error}") from error
    facts = _facts(parts, raw.classes)
    if problems := checks.problems(job.settings.limits, facts):
        raise UserError("; ".join(problems))
    metadata = {
        "classes": json.dumps(raw.classes),
        "source": source.kind,
        "source_checksum": raw.checksum,
        **({"class_titles": json.dumps(raw.class_titles)} if raw.class_titles else {}),
        "cut": json.dumps(source.how_cut | _table_digest(source), sort_keys=True),
    }
    for name, part in parts.items():
        shape = part.split.images.shape[1:]
        with image_files.Writer(job.output(name), shape, metadata | {"split": name}) as writer:
            for rows in np.split(part.rows, range(ROWS, len(part.rows), ROWS)):
                some = None if part.groups is None else part.groups[rows]
                writer.append(part.split.images[rows], part.split.labels[rows], some)
            writer.finish()
        logger.info("%s: %d images of %s, %d classes", name, len(part.rows), shape, len(raw.classes))
    if job.settings.content is not None:
        digests = {"sha256": raw.checksum} if source.kind == "digits" else tree.digests(path, skip=source.skip)
        content = job.settings.content.model_dump(mode="json")
        record = identity.Record(**content, digests=digests, facts=facts.model_dump())
        identity.write(job.output("record"), record)


def _facts(parts: dict[str, _Part], classes: list[str]) -> checks.Facts:
    train = parts["train"]
    fewest = np.bincount(train.split.labels[train.rows], minlength=len(classes)).min()
    height, width = train.split.images.shape[2:]
    return checks.Facts(
        classes=len(classes), fewest=int(fewest), images=len(train.rows), height=height, width=width,
        class_names=tuple(classes),
    )  # fmt: skip


def _path(source: Source, given: list[Path]) -> Path:
    if len(given) != (source.kind != "digits"):
        wanted = "must not be given" if source.kind == "digits" else "must be given exactly once"
        raise UserError(f"--in source=PATH {wanted} for {source.kind}, found {len(given)}")
    return given[0] if given else Path()


def _groups(source: Source, raw: RawData) -> groups.Groups | None:
    if source.groups is None:
        return None
    found = groups.read(raw, table=source.groups.table, pattern=source.groups.pattern)
    found.require_apart()
    logger.info("%d images in %d groups", sum(map(len, found.of_split.values())), len(found.names))
    return found


def _table_digest(source: Source) -> dict[str, str]:
    """What the table of groups says decides the splits, not where it lies."""
    if source.groups is None or source.groups.table is None:
        return {}
    return {"groups_table": files.sha256(Path(source.groups.table))}


def _parts(source: Source, raw: RawData, found: groups.Groups | None) -> dict[str, _Part]:
    """The three splits: published ones as they are, the others cut from train."""
    of_split = {} if found is None else found.of_split
    parts = {name: _Part(split, np.arange(len(split.labels)), of_split.get(name)) for name, split in raw.splits.items()}
    wanted = _wanted(source, raw)
    counts = np.bincount(raw.train.labels, minlength=len(raw.classes))
    try:
        # all cuts together, so that the first is not made in vain
        splits.require_enough(
            dict(enumerate(counts.tolist())), dict.fromkeys(range(len(counts)), sum(wanted.values())), raw.classes
        )
        for name, per_class in wanted.items():
            train = parts["train"]
            rest, cut = splits.cut(
                train.split.labels[train.rows], per_class=per_class, seed=source.seed + (name == "validation"),
                classes=raw.classes, groups=None if train.groups is None else train.groups[train.rows],
            )  # fmt: skip
            parts[name] = _Part(train.split, train.rows[cut], train.groups)
            parts["train"] = _Part(train.split, train.rows[rest], train.groups)
    except UserError as error:
        keys = " or ".join(f"source.{name}_per_class" for name in wanted)
        raise UserError(f"{error} (lower {keys})") from error
    return {name: parts[name] for name in ("test", "validation", "train")}


def _wanted(source: Source, raw: RawData) -> dict[str, int]:
    """Images per class to cut, by split in the order of cutting. Raises UserError if config and source disagree."""
    wanted: dict[str, int] = {}
    for name, published, per_class in (
        ("test", raw.test, source.test_per_class),
        ("validation", raw.validation, source.validation_per_class),
    ):
        if published is None:
            if per_class is None:
                raise UserError(
                    f"there is no {name} split, and source.{name}_per_class is missing; say how many images to cut"
                )
            wanted[name] = per_class
    if raw.validation is not None and source.validation_per_class is not None:
        raise UserError(
            "there is a validation split of its own; remove source.validation_per_class to use it, or leave the folder "
            "out by source.skip"
        )
    return wanted
