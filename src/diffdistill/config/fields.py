"""Types of values in config.yaml, and blocks of them that refuse unknown keys."""

import difflib
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Annotated, Any, ClassVar, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from diffdistill.errors import UserError


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


def _integer(value: Any) -> Any:
    """YAML reads 1e3 as text and 1_000.0 as a float; both are integers to the user who wrote them."""
    if isinstance(value, bool):
        raise ValueError(f"expected an integer, found {str(value).lower()}")
    if isinstance(value, str):
        with suppress(ValueError):
            return int(value)  # a float would lose the last digits of a large seed
        try:
            value = float(value)
        except ValueError:
            raise ValueError(f"{short(value)} is not an integer") from None
    if isinstance(value, float):
        if not value.is_integer():
            raise ValueError(f"{value} is not an integer")
        return int(value)
    return value


def _plain_path(path: str) -> str:
    if set(path) & set("{}") or not path.isprintable():
        raise ValueError(f"{short(path)} has braces or control characters, which rules cannot take; link to it")
    return path


def _not_boolean(value: Any) -> Any:
    """YAML reads on and yes as true, which would pass for 1."""
    if isinstance(value, bool):
        raise ValueError(f"expected a number, found {str(value).lower()}")
    return value


Integer = Annotated[int, BeforeValidator(_integer)]
PositiveInt = Annotated[Integer, Field(ge=1)]
NonNegativeInt = Annotated[Integer, Field(ge=0)]
Float = Annotated[float, BeforeValidator(_not_boolean), Field(allow_inf_nan=False)]
PositiveFloat = Annotated[Float, Field(gt=0)]
NonNegativeFloat = Annotated[Float, Field(ge=0)]
UnitInterval = Annotated[Float, Field(ge=0, lt=1)]
"""0 included, 1 excluded."""
FilePath = Annotated[str, AfterValidator(_plain_path)]
"""Braces would be wildcards to Snakemake."""
Checksum = Annotated[str, Field(pattern=r"^(md5:[0-9A-Fa-f]{32}|sha256:[0-9A-Fa-f]{64})$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]


class Block(BaseModel):
    """A block that refuses keys it does not know, and names the nearest one that it does."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    renamed: ClassVar[Mapping[str, str]] = {}
    """Keys of older versions, and what they are called now."""

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, values: Any) -> Any:
        if isinstance(values, Mapping):
            for key in values:
                if key in cls.renamed:
                    raise ValueError(f"'{key}' is now '{cls.renamed[key]}'; rename it (docs/glossary.md)")
                if key not in cls.model_fields:
                    near = difflib.get_close_matches(str(key), cls.model_fields, n=1, cutoff=0.5)
                    hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(cls.model_fields)}"
                    raise ValueError(f"unknown key {short(str(key))}; {hint}")
        return values

    def changed(self, **values: Any) -> Self:
        """A copy with other values, checked like any block. Raises ValueError if they do not fit."""
        return type(self).model_validate(self.model_dump() | values)

    def at_defaults(self, names: Iterable[str]) -> set[str]:
        """Those of these keys whose value is the default."""
        return {name for name in names if getattr(self, name) == type(self).model_fields[name].default}


B = TypeVar("B", bound=Block)


def read(block: type[B], values: Mapping[str, Any], where: str) -> B:
    """One block from plain values. Raises UserError, one line per mistake: where, key, value and what is wrong."""
    try:
        return block.model_validate(values)
    except ValidationError as error:
        raise UserError("\n".join(_line(where, problem) for problem in error.errors())) from None


def _line(where: str, problem: Any) -> str:
    key = ".".join(str(part) for part in problem["loc"] if part != "[key]")
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "missing":
        return f"{where}: {key} is missing; add it"
    value = problem["input"]
    shown = f" (found {short(value)})"
    if isinstance(value, Mapping | Block) or problem["type"] == "value_error":
        shown = ""
    return f"{where}: {key + ': ' if key else ''}{message}{shown}"


def as_json(block: Block, *, sort_keys: bool = True) -> str:
    """A block as the JSON that `read` understands; with sorted keys equal blocks are equal text."""
    return json.dumps(block.model_dump(mode="json"), sort_keys=sort_keys)


def digest(block: Block) -> str:
    """Eight hexadecimal digits that tell blocks of different values apart, for names of files."""
    return hashlib.sha256(as_json(block).encode()).hexdigest()[:8]


def describe(block: type[Block]) -> str:
    """One line per key: its name, type and default."""
    lines = []
    for name, field in block.model_fields.items():
        kind = re.sub(r"\b(diffdistill|typing|collections)(\.\w+)*\.", "", _type_name(field.annotation))
        default = "required" if field.is_required() else f"default {field.default!r}"
        lines.append(f"  {name}: {kind}, {default}")
    return "\n".join(lines) or "  none"


def _type_name(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)
