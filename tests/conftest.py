"""Where recorded outputs and real archives lie, when they are at hand; and how many threads a test has."""

import os
from pathlib import Path

import pytest
import torch

SHARED = Path(os.environ.get("DIFFDISTILL_SHARED", Path(__file__).parents[2] / "shared"))

if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)  # one test runs per core; more threads would wait for each other

FIRST = ("test_slurm.py", "test_commands.py", "test_demo.py")
"""Modules of the longest tests: begun last, they would run alone at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in FIRST)


@pytest.fixture(scope="session")
def oracles() -> Path:
    """The folder of recorded inputs and outputs; the tests that need it skip where it is absent."""
    folder = SHARED / "oracles"
    if not folder.is_dir():
        if SHARED.is_dir() and os.environ.get("CI") == "true":
            pytest.fail(f"{SHARED} is there, but {folder} is not")
        pytest.skip(f"no recorded outputs of the published implementations in {folder}")
    return folder


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder whose data/ holds real archives; the tests that need it skip where it is absent."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"no real archives in {SHARED / 'data'}; set DIFFDISTILL_SHARED to the folder that has data/")
    return SHARED
