"""What YAML would silently read differently from what was written: repeated keys, octal and base-60 numbers."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml

from diffdistill.errors import UserError

_OCTAL = re.compile(r"[-+]?0[0-7_]+")
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")
_INT, _FLOAT, _BOOL = (f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "bool"))


def refuse_ambiguous(paths: Iterable[Path]) -> None:
    """Raises UserError with file and line for a repeated key and for a number that YAML reads in another base.

    Files that are not YAML are left to Snakemake, which reports them.
    """
    for path in paths:
        try:
            document = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        except (OSError, UnicodeDecodeError, yaml.YAMLError):
            continue
        problems = list(_problems(document, "", set())) if document is not None else []
        if problems:
            raise UserError("\n".join(f"{path}, line {line}: {problem}" for line, problem in problems))


def _problems(node: yaml.Node, where: str, seen: set[int]) -> Iterator[tuple[int, str]]:
    """Line and description of each problem; an anchored node is visited once."""
    if id(node) in seen:
        return
    seen.add(id(node))
    line = node.start_mark.line + 1
    if isinstance(node, yaml.ScalarNode):
        if node.style is None and node.tag == _INT and _OCTAL.fullmatch(node.value):
            value = int(node.value.replace("_", ""), 8)
            yield line, f"{where}: {node.value} is read as the octal number {value}; write it without a leading zero"
        elif node.style is None and node.tag in (_INT, _FLOAT) and _SEXAGESIMAL.fullmatch(node.value):
            yield line, f"{where}: {node.value} is read as a number in base 60; write seconds as one number"
    elif isinstance(node, yaml.SequenceNode):
        for child in node.value:
            yield from _problems(child, where, seen)
    elif isinstance(node, yaml.MappingNode):
        first: dict[str, int] = {}
        for key, value in node.value:
            name, at = str(key.value), key.start_mark.line + 1
            if name in first:
                yield at, f"'{name}' is repeated in {where or 'the file'} (first on line {first[name]}); remove one"
            if key.style is None and key.tag == _BOOL:
                yield at, f"the key {name} in {where or 'the file'} is read as true or false; write it in quotes"
            first.setdefault(name, at)
            yield from _problems(value, f"{where}.{name}" if where else name, seen)
