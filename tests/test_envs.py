"""One set of versions: the lock file fits the ranges of pyproject.toml, and the conda file repeats the lock file."""

import re
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[1]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
LOCKED = {
    canonicalize_name(name): version
    for name, version in re.findall(
        r"^([A-Za-z0-9_.-]+)==(\S+)", (REPOSITORY / "envs/requirements.lock").read_text(), re.M
    )
}


def test_every_dependency_is_locked_within_its_range() -> None:
    wanted = [Requirement(line) for line in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]]
    for requirement in wanted:
        assert requirement.specifier.contains(LOCKED[canonicalize_name(requirement.name)].split("+")[0]), requirement


def test_the_conda_file_has_the_locked_versions_of_every_dependency() -> None:
    environment = yaml.safe_load((REPOSITORY / "envs/environment.yaml").read_text())
    pins = [Requirement(line) for line in environment["dependencies"][-1]["pip"]]
    assert {canonicalize_name(pin.name): str(pin.specifier) for pin in pins} == {
        canonicalize_name(Requirement(line).name): f"=={LOCKED[canonicalize_name(Requirement(line).name)]}"
        for line in PROJECT["dependencies"]
    }
    python = next(line for line in environment["dependencies"] if str(line).startswith("python="))
    assert python == "python=3.11" and Requirement(f"python{PROJECT['requires-python']}").specifier.contains("3.11")
