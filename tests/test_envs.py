"""The lock: complete, hashed and within the ranges of pyproject.toml for every platform and Python that we name."""

import functools
import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[1]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
LOCK = REPOSITORY / "envs/requirements.lock"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PLATFORMS = {  # uv's name: what markers say there
    "x86_64-manylinux_2_28": ("linux", "Linux", "x86_64"),
    "aarch64-manylinux_2_28": ("linux", "Linux", "aarch64"),
    "aarch64-apple-darwin": ("darwin", "Darwin", "arm64"),
}
FROM_SOURCE = {"connection-pool": PYTHONS, "immutables": ("3.14",)}
"""Packages that PyPI has no wheel of, and for which Pythons."""


def read_lock(path: Path) -> dict[str, tuple[Requirement, int]]:
    """Each requirement by name, with the number of its hashes."""
    blocks = re.split(r"\n(?=[A-Za-z0-9])", path.read_text().strip())
    parsed = [(Requirement(block.split(" \\")[0]), block.count("--hash=sha256:")) for block in blocks]
    return {canonicalize_name(requirement.name): (requirement, hashes) for requirement, hashes in parsed}


LOCKED = read_lock(LOCK)
PINS = {name: str(requirement.specifier) for name, (requirement, _) in LOCKED.items()}


def environment(platform: str, python: str) -> dict[str, str]:
    """The markers' values on a platform."""
    system, name, machine = PLATFORMS[platform]
    values = {"sys_platform": system, "platform_system": name, "platform_machine": machine, "os_name": "posix"}
    return {**default_environment(), **values, "python_version": python, "python_full_version": f"{python}.2"}  # type: ignore[dict-item]


def applies(requirement: Requirement, values: dict[str, str], extra: str = "") -> bool:
    return requirement.marker is None or requirement.marker.evaluate({**values, "extra": extra})


@pytest.mark.parametrize("name", ["requirements.lock", "optional.lock"])
def test_every_package_is_pinned_and_hashed_and_no_index_is_named(name: str) -> None:
    path = REPOSITORY / "envs" / name
    for requirement, hashes in read_lock(path).values():
        assert re.fullmatch(r"==[^,*]+", str(requirement.specifier)) and hashes, requirement
    assert not re.search(r"://|--index|--find-links|^-", path.read_text(), re.M)


def test_every_dependency_is_locked_within_its_range() -> None:
    wanted = [Requirement(line) for line in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]]
    for requirement in wanted:
        assert requirement.specifier.contains(PINS[canonicalize_name(requirement.name)][2:]), requirement


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("platform", PLATFORMS)
def test_what_is_locked_is_closed_under_its_own_requirements(platform: str, python: str) -> None:
    """pip installs the lock without looking at dependencies: each one that applies must stand in it, and fit."""
    values = environment(platform, python)
    project = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]
    waiting = [Requirement(line) for line in [*project, *PROJECT["optional-dependencies"]["slurm"]]]
    seen: set[tuple[str, str]] = set()
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        assert name in LOCKED and applies(LOCKED[name][0], values), f"{wanted} is not locked on {platform}, {python}"
        assert wanted.specifier.contains(PINS[name][2:], prereleases=True), f"{wanted}, but locked is {PINS[name]}"
        for extra in ["", *wanted.extras]:
            if (name, extra) not in seen:
                seen.add((name, extra))
                waiting += [requirement for requirement in requires(name) if applies(requirement, values, extra)]


@functools.cache
def requires(name: str) -> list[Requirement]:
    """What the installed package of that name says it needs, if it is the locked version."""
    try:
        found = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return []  # of another platform, which has no requirements that are not locked: `make lock` resolved them
    if found.version.split("+")[0] != PINS[name][2:].split("+")[0]:
        pytest.skip(f"{name} {found.version} is installed, not the locked {PINS[name]}: `make install` first")
    return [Requirement(line) for line in found.requires or []]


def test_cuda_is_for_linux_alone() -> None:
    for name, (requirement, _) in LOCKED.items():
        if re.match(r"nvidia-|cuda-|triton$", name):
            assert applies(requirement, environment("x86_64-manylinux_2_28", "3.11"))
            assert not applies(requirement, environment("aarch64-apple-darwin", "3.11")), requirement


@pytest.mark.slow
@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_lock_resolves_to_wheels_without_installing(platform: str, python: str, tmp_path: Path) -> None:
    pytest.importorskip("uv", reason="uv is not installed: `make install`")
    sources = [word for name, of in FROM_SOURCE.items() if python in of for word in ("--no-binary", name)]
    command = [sys.executable, "-m", "uv", "pip", "install", "--dry-run", "--no-deps", "--require-hashes", *sources]
    command += ["--only-binary", ":all:", "--python-platform", platform, "--python-version", python]
    run = subprocess.run(
        [*command, "--target", str(tmp_path), "--requirement", str(LOCK)],
        capture_output=True,
        text=True,
        env={**os.environ, "MACOSX_DEPLOYMENT_TARGET": "14.0"},  # the oldest that torch has a wheel for
    )
    if re.search(r"dns error|Could not connect|Failed to fetch|timed out", run.stderr):
        pytest.skip("no package index can be reached from here")
    assert run.returncode == 0 and "Would install" in run.stderr, run.stderr


def test_the_conda_file_has_the_locked_versions_of_every_dependency() -> None:
    environment = yaml.safe_load((REPOSITORY / "envs/environment.yaml").read_text())
    pins = [Requirement(line) for line in environment["dependencies"][-1]["pip"]]
    assert {canonicalize_name(pin.name): str(pin.specifier) for pin in pins} == {
        canonicalize_name(Requirement(line).name): PINS[canonicalize_name(Requirement(line).name)]
        for line in PROJECT["dependencies"]
    }
    python = next(line for line in environment["dependencies"] if str(line).startswith("python="))
    assert python == "python=3.11" and Requirement(f"python{PROJECT['requires-python']}").specifier.contains("3.11")
