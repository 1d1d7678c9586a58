"""What a value of config.yaml can be, and what a block is: unknown keys refused, numbers understood."""

import difflib
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator


def short(value: Any) -> str:
    """A value as an error shows it: in quotes, on one line, not longer than a line."""
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:60]}… ({len(shown)} characters)"


def file_name(url: str) -> str:
    """The last part of an address, without what follows a question mark; empty if there is none."""
    try:
        return urlsplit(url).path.rsplit("/", 1)[-1]
    except ValueError:
        return ""


def _whole_number(value: Any) -> Any:
    """YAML takes 1e3 and 1_000.0 for text or a float; both are whole numbers to the person who wrote them."""
    if isinstance(value, bool):
        raise ValueError(f"{value} is a truth value, a whole number is needed")
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise ValueError(f"{short(value)} is not a whole number") from None
    if isinstance(value, float):
        if not value.is_integer():
            raise ValueError(f"{value} is not a whole number")
        return int(value)
    return value


def _plain_path(path: str) -> str:
    if set(path) & set("{}") or not path.isprintable():
        raise ValueError(f"{short(path)} has braces or control characters, which rules cannot take; link to it")
    return path


Integer = Annotated[int, BeforeValidator(_whole_number)]
PositiveInt = Annotated[Integer, Field(ge=1)]
NonNegativeInt = Annotated[Integer, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
UnitInterval = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
FilePath = Annotated[str, AfterValidator(_plain_path)]
"""Braces would be wildcards to Snakemake."""
Checksum = Annotated[str, Field(pattern=r"^(md5:[0-9A-Fa-f]{32}|sha256:[0-9A-Fa-f]{64})$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]


class Block(BaseModel):
    """A block that refuses keys it does not know, and names the nearest one that it does."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, values: Any) -> Any:
        if isinstance(values, Mapping):
            for key in values:
                if key not in cls.model_fields:
                    near = difflib.get_close_matches(str(key), cls.model_fields, n=1, cutoff=0.5)
                    hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(cls.model_fields)}"
                    raise ValueError(f"unknown key {short(str(key))}; {hint}")
        return values
