"""What a dry run can know of a set or generator from elsewhere that lies in more than the one file at its path."""

import ast
import hashlib
from collections.abc import Iterator
from pathlib import Path

from diffdistill.config import TrainGenerator
from diffdistill.config.generator import PythonGenerator
from diffdistill.errors import UserError
from diffdistill.planning import sources
from diffdistill.planning.plan import Plan, Wildcards


def fingerprint(plan: Plan, wildcards: Wildcards) -> str:
    """What changes when a file in the folder changes, or a module that a user's class imports; else nothing.

    The date of a folder does not tell: it stays when a file below a folder in it changes. That of a file does. Raises
    UserError if a part of the folder cannot be read.
    """
    block = plan.experiment(wildcards).generator
    assert not isinstance(block, TrainGenerator)
    path = Path(block.path)
    if isinstance(block, PythonGenerator):
        return _of_modules(path)
    return sources.files_fingerprint(path) or "" if path.is_dir() else ""


def _of_modules(path: Path) -> str:
    """Names and contents of the modules beside a Python file that it imports, itself and through each other.

    Only what the text says is known. All of a package counts. A module that the environment has too counts as well,
    though the environment's would be imported.
    """
    found: dict[Path, str] = {}
    waiting = [path]
    while waiting:
        module = waiting.pop()
        if module in found or not module.is_file():
            continue
        try:
            text = module.read_bytes()
        except OSError as error:
            raise UserError(f"{module}: {(error.strerror or 'unreadable').lower()}; give this user access") from None
        found[module] = hashlib.sha256(text).hexdigest()
        for name in _imported(text):
            waiting += [path.parent / f"{name}.py", *(path.parent / name).rglob("*.py")]
    found.pop(path, None)  # its own date tells
    lines = sorted(f"{module.relative_to(path.parent).as_posix()}\0{digest}" for module, digest in found.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest() if lines else ""


def _imported(text: bytes) -> Iterator[str]:
    """First parts of the absolute names that a module imports; none of a text that is not Python."""
    try:
        nodes = [*ast.walk(ast.parse(text))]
    except (SyntaxError, ValueError):
        return  # the job names file and line
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]
