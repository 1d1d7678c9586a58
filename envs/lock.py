"""Write what follows from requirements.lock: optional.lock, the pins of environment.yaml, and nothing if all is equal.

    python envs/lock.py

`make lock` runs this after it has written requirements.lock.
"""

import subprocess
import sys
import tomllib
from pathlib import Path

from install import requirements, version
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ENVS = Path(__file__).resolve().parent
LOCKED_WITH_THE_REST = {"dev", "slurm"}
"""Extras that requirements.lock has."""
COMPILE = ["uv", "pip", "compile", "--quiet", "--universal", "--generate-hashes", "--no-header", "--no-annotate"]


def optional() -> None:
    """What the other extras need beyond requirements.lock, at versions that fit it."""
    project = tomllib.loads((ENVS.parent / "pyproject.toml").read_text())["project"]
    names = sorted(project["optional-dependencies"].keys() - LOCKED_WITH_THE_REST)
    extras = [word for name in names for word in ("--extra", name)]
    command = [
        *COMPILE,
        "--python-version",
        "3.11",
        *extras,
        "pyproject.toml",
        "--constraint",
        "envs/requirements.lock",
    ]
    run = subprocess.run(
        [sys.executable, "-m", *command], cwd=ENVS.parent, stdout=subprocess.PIPE, text=True, check=True
    )
    locked = requirements((ENVS / "requirements.lock").read_text())
    further = {name: lines for name, lines in requirements(run.stdout).items() if name not in locked}
    (ENVS / "optional.lock").write_text("".join(further.values()))


def conda() -> None:
    """The pins of environment.yaml: every dependency of the package at its locked version."""
    project = tomllib.loads((ENVS.parent / "pyproject.toml").read_text())["project"]
    locked = {
        canonicalize_name(name): version(lines)
        for name, lines in requirements((ENVS / "requirements.lock").read_text()).items()
    }
    path = ENVS / "environment.yaml"
    text = path.read_text()
    head = text[: text.index("  - pip:\n")]
    names = [Requirement(line).name for line in project["dependencies"]]
    pins = "".join(f"      - {name}=={locked[canonicalize_name(name)]}\n" for name in names)
    path.write_text(f"{head}  - pip:\n{pins}")


if __name__ == "__main__":
    optional()
    conda()
