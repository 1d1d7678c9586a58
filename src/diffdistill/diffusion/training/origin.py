"""Which settings and data a training state comes from."""

import json
from collections.abc import Mapping
from typing import Any

from diffdistill.data.image_files import ORIGIN, differing

SETTINGS = "config"
"""Key of the metadata that holds the settings as JSON."""


def origin_metadata(settings: Mapping[str, Any], data: Mapping[str, str]) -> dict[str, str]:
    """What a state says of its origin: the settings that decide it, and classes, archive and splits of the data.

    data: the metadata of the train images.
    """
    about_data = {key: data[key] for key in ("classes", "class_titles", *ORIGIN) if key in data}
    return {SETTINGS: json.dumps(settings, sort_keys=True), **about_data}


def settings_of(metadata: Mapping[str, str]) -> dict[str, Any]:
    """The settings that `origin_metadata` wrote; empty if there are none."""
    settings = json.loads(metadata.get(SETTINGS, "{}"))
    return settings if isinstance(settings, dict) else {}


def differences(found: Mapping[str, str], expected: Mapping[str, str]) -> list[str]:
    """`key value against value`, the found one first, wherever two states differ; empty if they are of one training.

    A setting that one of them lacks is a difference; of the data, only what both say of it is compared.
    """
    theirs, ours = _flat(settings_of(found)), _flat(settings_of(expected))
    keys = sorted({*theirs, *ours})
    settings = differing(keys, dict.fromkeys(keys) | theirs, dict.fromkeys(keys) | ours)
    return settings + differing(("classes", *ORIGIN), found, expected)


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """By dotted key, such as train.seed."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= {f"{key}.{name}": one for name, one in value.items()} if isinstance(value, dict) else {key: value}
    return flat
