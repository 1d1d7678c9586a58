"""The settings that files were made with, as the files record them, beside those of today's config."""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import pandas as pd

from diffdistill.config import Select
from diffdistill.report.results import Experiment

SAMPLE_KEYS = ("solver", "guidance", "seed", "budget_seconds")
"""What the account says of its settings."""


def settings(experiment: Experiment) -> dict[str, Any]:
    """The settings that the files record, in blocks with the names of today's config."""
    found: dict[str, Any] = {}
    for images in (experiment.samples, experiment.distilled):
        if images is not None:
            _merge(found, _of_metadata(images.metadata))
    if experiment.account is not None:
        values = experiment.account | experiment.generator
        _merge(found, {"sample": {key: values[key] for key in SAMPLE_KEYS if key in values}})
        if isinstance(model := experiment.generator.get("model"), Mapping):
            _merge(found, {"model": dict(model)})
    if experiment.fid is not None:
        _merge(found, {"fid": _of_fid(experiment.fid)})
    if experiment.accuracy is not None:
        _merge(found, {"evaluate": _of_accuracy(experiment.accuracy)})
    audit = (experiment.audit or {}).get("made_from", {}).get("settings", {}).get("audit")
    _merge(found, {"audit": audit or {}})
    return {block: values for block, values in found.items() if values}


def setting(experiment: Experiment, block: str, key: str) -> Any:
    """As the files record it, otherwise as today's config has it; None if neither does."""
    for source in (settings(experiment), experiment.settings):
        values = source.get(block)
        if isinstance(values, Mapping) and key in values:
            return values[key]
    return None


def differences(experiment: Experiment) -> pd.DataFrame:
    """setting, made_with, today: where the config has changed since; a row per setting.

    Of the setups that a pilot picks from, the one that differs least counts as today's.
    """
    made = dict(_flat(settings(experiment)))
    found = [_changed(made, dict(_flat(today))) for today in _ways_of_today(experiment.settings)]
    return pd.DataFrame(min(found, key=len), columns=["setting", "made_with", "today"])


def _changed(made: Mapping[str, Any], today: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    return [
        (key, _text(made[key]), _text(today[key])) for key in made if key in today and _differ(made[key], today[key])
    ]


def _ways_of_today(today: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Today's config, or with each setup that the pilot tries in place of what it replaces in `sample` and `select`."""
    setups = (today.get("checkpoint") or {}).get("setups")
    if not setups:
        yield today
    for setup in setups or ():
        sample = dict(today["sample"])
        sample |= {"solver": setup["solver"] or sample["solver"], "guidance": setup["guidance"]}
        yield {**today, "sample": sample, "select": setup["select"] or Select().model_dump(mode="json")}


def seeds(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Every seed among nested settings with its place, such as train.seed."""
    found = [(key, value) for key, value in _flat(values) if key.rsplit(".", 1)[-1] in ("seed", "seeds")]
    return [(key, ", ".join(map(str, value)) if isinstance(value, list) else str(value)) for key, value in found]


def _of_metadata(metadata: Mapping[str, str]) -> dict[str, Any]:
    """selected_by: the `select` used; trained_by: `model`, `train` and others; made_from: what the stage was asked."""
    found: dict[str, Any] = {}
    _merge(found, {"select": _parsed(metadata, "selected_by")})
    _merge(found, _parsed(metadata, "trained_by"))
    _merge(found, _parsed(metadata, "made_from").get("settings", {}))
    return found


def _of_fid(fid: pd.DataFrame) -> dict[str, Any]:
    row = fid.iloc[0]
    found = {key: int(row[key]) for key in ("images", "seed") if key in row and pd.notna(row[key])}
    return found | ({"features": str(row["features"])} | _parsed(row, "settings"))


def _of_accuracy(runs: pd.DataFrame) -> dict[str, Any]:
    """seeds, and the protocol if the table has it."""
    found: dict[str, Any] = {"seeds": [int(seed) for seed in runs["seed"]]}
    protocol = _parsed(runs.iloc[0], "protocol")
    return found | ({"protocol": protocol} if protocol else {})


def _parsed(values: Any, key: str) -> dict[str, Any]:
    """A JSON object in text; empty if there is none."""
    with suppress(KeyError, TypeError, ValueError):
        found = json.loads(values[key])
        return found if isinstance(found, dict) else {}
    return {}


def _merge(found: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Add blocks; what was found first stays."""
    for block, values in more.items():
        if isinstance(values, Mapping):
            found[block] = {**values, **found.get(block, {})}


def _flat(values: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def _differ(a: Any, b: Any) -> bool:
    return json.dumps(a, default=list) != json.dumps(b, default=list) and a != b


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
