"""Write config/schema.json, by which editors complete and check config.yaml, from the types: `make schema`.

Descriptions are the docstrings below the keys. They are read here alone: pydantic would read them in every stage, which
takes longer than the rest of the types' import.
"""

import ast
import inspect
import json
import typing
from pathlib import Path
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from diffdistill.config.evaluation import Evaluate, Protocol
from diffdistill.config.fields import Block
from diffdistill.config.load import Config
from diffdistill.config.model import KINDS, ModelBlock
from diffdistill.config.protocols import EPOCHS
from diffdistill.config.source import Groups

FILE = Path(__file__).with_name("schema.json")
NUMBER = r"^[-+]?(\d[\d_]*\.?[\d_]*|\.\d[\d_]*)([eE][-+]?\d+)?$"
"""PyYAML reads 2e-3 as text, an editor reads 80_000 as text."""
BOUNDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
"""pydantic leaves a bound under its own name where a validator comes before the type."""
NAMED_PROTOCOL = "The challenge's protocol of this track; keys beside it change its values."


def schema() -> dict[str, Any]:
    """A JSON schema (draft 7, which all editors know) of a config file, whole or an overlay: no key is required."""
    found = Config.model_json_schema(schema_generator=_Described)
    return {"$schema": "http://json-schema.org/draft-07/schema#", "title": "diffdistill", **_plain(found)}


def text() -> str:
    """The content of the file."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


def descriptions(block: type[Block]) -> dict[str, str]:
    """The docstring below each key, also of the classes above; that of the key's block before `Null: …`, or alone."""
    found = {}
    for name, field in block.model_fields.items():
        for of_key in _blocks(field.annotation):
            if of_key.__doc__:
                found[name] = of_key.__doc__.split("\n\n")[0]
    for one in reversed([one for one in block.__mro__ if issubclass(one, Block)]):
        (tree,) = ast.parse(inspect.getsource(one)).body
        assert isinstance(tree, ast.ClassDef)
        for key, below in zip(tree.body, tree.body[1:], strict=False):
            if isinstance(key, ast.AnnAssign) and isinstance(key.target, ast.Name) and isinstance(below, ast.Expr):
                of_key = ast.literal_eval(below.value)
                continued = of_key.startswith("Null: ") and key.target.id in found
                found[key.target.id] = f"{found[key.target.id]} {of_key}" if continued else of_key
    return {name: " ".join(text.split()) for name, text in found.items()}


def _blocks(annotation: Any) -> list[type[Block]]:
    """The blocks that a key's type is made of."""
    if inspect.isclass(annotation) and issubclass(annotation, Block):
        return [annotation]
    return [block for part in typing.get_args(annotation) for block in _blocks(part)]


class _Described(GenerateJsonSchema):
    """With a description for every key, and with what validators before the types take."""

    def model_schema(self, schema: Any) -> dict[str, Any]:
        """Raises ValueError for a key without a description."""
        block = schema["cls"]
        if block is ModelBlock:
            return {"anyOf": [self.generate_inner(kind.__pydantic_core_schema__) for kind in KINDS.values()]}
        found = super().model_schema(schema)
        found.pop("description", None)  # an editor would show it in place of the key's
        texts = descriptions(block)
        for name, field in found["properties"].items():
            if name not in texts:
                raise ValueError(f"{block.__name__}.{name} has no description; write a docstring below it")
            field["description"] = texts[name]
            default = block.model_fields[name].default
            if isinstance(default, Block):
                field["default"] = default.model_dump(mode="json", exclude_defaults=True)
        if issubclass(block, ModelBlock):
            _take_null(found["properties"])
        if block is Evaluate:
            self._take_names(found["properties"]["protocol"])
        return {"anyOf": [{"type": "string"}, found]} if block is Groups else found

    def _take_names(self, protocol: dict[str, Any]) -> None:
        """evaluate.protocol, and no other, may be a name or have one."""
        named = {"enum": [*EPOCHS], "description": NAMED_PROTOCOL}
        whole = self.model_schema(Protocol.__pydantic_core_schema__["schema"])
        del protocol["$ref"]
        protocol["anyOf"] = [{"enum": [*EPOCHS]}, {**whole, "properties": {"name": named, **whole["properties"]}}]


def _take_null(properties: dict[str, Any]) -> None:
    """null removes a key of a network, also one of another kind: so an overlay replaces one kind by another."""
    for name, field in properties.items():
        if name != "kind":
            described = {"description": field.pop("description")}
            properties[name] = {"anyOf": [dict(field), {"type": "null"}], **described}
    for name in sorted({name for kind in KINDS.values() for name in kind.model_fields} - set(properties)):
        properties[name] = {"type": "null", "description": "Of another kind of network; null removes it."}


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema as draft 7 and editors want it."""
    found: dict[str, Any] = {}
    for key, value in schema.items():
        if key in ("properties", "$defs"):
            found[key] = {name: _plain(one) for name, one in value.items()}
        elif key == "patternProperties":  # by name, where null removes one
            found[key] = {name: {"anyOf": [_plain(one), {"type": "null"}]} for name, one in value.items()}
            found["additionalProperties"] = False
        elif key in ("anyOf", "oneOf"):
            found["anyOf"] = [_plain(one) for one in value]
        elif key in ("items", "prefixItems"):
            found["items"] = [_plain(one) for one in value] if isinstance(value, list) else _plain(value)
        elif key == "additionalProperties":
            found[key] = _plain(value) if isinstance(value, dict) else value
        elif key == "type" and value in ("integer", "number"):
            found |= {"type": [value, "string"], "pattern": NUMBER}
        elif key not in ("title", "required", "discriminator") and not (key == "default" and value == {}):
            found[BOUNDS.get(key, key)] = value
    return found


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
