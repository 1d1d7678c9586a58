"""What a dry run can know of the content of a source in a moment, and whether it has to be prepared again."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from diffdistill.config import Source
from diffdistill.config.stages import Content
from diffdistill.data import identity, tree
from diffdistill.errors import UserError
from diffdistill.planning.plan import Plan

SPLITS = ("train", "validation", "test")


def holds(path: Path | str | None, dataset: str) -> bool:
    """Whether what lies at the path of a source, if it has one, holds the files of a data set or would hold them."""
    return path is not None and Path("data", dataset).resolve().is_relative_to(Path(path).resolve())


def refuse_sources_that_are_written_into(plan: Plan) -> None:
    """Raises UserError for a source that holds the folder of a data set: each run would find it changed."""
    config = plan.config
    datasets = {name: config.dataset(name) for name in config.experiments}
    for name, one in config.experiments.items():
        held = [dataset for dataset in (datasets[name], *datasets.values()) if holds(one.source.path, dataset)]
        if held:
            remedy = "move the pictures into a folder of their own"
            if not holds(one.source.path, ""):
                remedy += ", or give another name or dataset to the experiment that makes it"
            raise UserError(
                f"config.yaml: experiments.{name}.source.path {one.source.path}: the workflow writes data/{held[0]}, "
                f"which lies in it, so each run would find other pictures there; {remedy}"
            )


@dataclass(frozen=True)
class State:
    """A source as it is now."""

    content: Content
    inputs: list[str]
    """The files that prepare waits for: a download, or what another rule makes."""
    unchanged: bool
    """Whether the splits that are there were made of this content with these settings."""


def state(plan: Plan, dataset: str) -> State:
    """The source of a data set as it is now. Raises UserError if a part of it cannot be read.

    Its content is read only if its fingerprint is not the recorded one. Where the content lies decides nothing.
    """
    source, path = plan.source(dataset), f"data/{dataset}/source.json"
    record, fingerprint = identity.read(path), _fingerprint(source)
    if record is not None and fingerprint not in (None, record.fingerprint) and record.same_content(_digests(source)):
        record = replace(record, fingerprint=fingerprint)
        identity.refresh(path, record)
    # a source that was removed after it was prepared is taken for the recorded one
    known = record is not None and fingerprint in (None, record.fingerprint)
    version = record.version if record is not None and known else fingerprint
    deciding = json.dumps({**source.how_cut, "version": version, **_groups_table(source)}, sort_keys=True)
    there = all(Path(f"data/{dataset}/{split}.safetensors").exists() for split in SPLITS)
    unchanged = record is not None and there and record.deciding == deciding
    place = source.file(dataset)
    inputs = [place] if place is not None and (source.path is None or fingerprint is None) else []
    if unchanged:
        assert record is not None
        inputs = record.inputs  # Snakemake takes other names of input files for a reason to run a job again
    content = Content(version=version or "", fingerprint=fingerprint or "", deciding=deciding, inputs=tuple(inputs))
    return State(content, inputs, unchanged)


def _fingerprint(source: Source) -> str | None:
    """What changes when a source changes: its checksum if it is fetched, else what tree.fingerprint sees.

    None if nothing is there yet: Snakemake says so, unless a rule makes it.
    """
    if source.path is None:
        return source.checksum.lower() if source.checksum is not None else "bundled"
    return files_fingerprint(source.path, skip=source.skip, contents=source.verify == "contents")


def files_fingerprint(path: Path | str, *, skip: tuple[str, ...] = (), contents: bool = False) -> str | None:
    """`tree.fingerprint`; None if there is nothing. Raises UserError if a part cannot be read."""
    try:
        return tree.fingerprint(path, skip=skip, contents=contents)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(
            f"{error.filename}: {(error.strerror or 'unreadable').lower()}; give this user access"
        ) from None


def _digests(source: Source) -> Mapping[str, str]:
    if source.path is not None:
        return tree.digests(source.path, skip=source.skip)
    algorithm, _, digits = (source.checksum or "").lower().partition(":")
    return {algorithm: digits}


def _groups_table(source: Source) -> dict[str, str]:
    if source.groups is None or source.groups.table is None:
        return {}
    table = Path(source.groups.table)
    if not table.is_file():
        raise UserError(f"source.groups: {table}: no such file; give a csv of image path and group")
    return {"groups_table": hashlib.sha256(table.read_bytes()).hexdigest()}
