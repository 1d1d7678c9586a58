"""Where recorded outputs and real archives lie; how many threads a test has; and that CI skips nothing it could run."""

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

# one test runs per core; threads of two would wait for each other, which takes ten times as long
ONE_THREAD = "PYTEST_XDIST_WORKER" in os.environ
if ONE_THREAD:
    os.environ["OMP_NUM_THREADS"] = "1"  # read when torch is imported

import torch  # noqa: E402

SHARED = Path(os.environ.get("DIFFDISTILL_SHARED", Path(__file__).parents[2] / "shared"))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Also after a test in which a stage has set another number."""
    if ONE_THREAD:
        torch.set_num_threads(1)
    yield


FIRST = (
    "test_slurm.py", "test_commands.py", "test_demo.py", "test_run.py", "test_environments.py", "test_own_data.py",
    "test_generators.py", "test_profiles.py", "test_study.py", "test_restart.py", "test_nodes.py", "test_switches.py",
)  # fmt: skip
"""Modules of the longest tests: begun last, they would run alone at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        """Whole runs before short tests, which fill the cores at the end."""
        if item.path.name in FIRST:
            return FIRST.index(item.path.name)
        return len(FIRST) + (item.path.parent.name != "workflow")

    items.sort(key=place)


IN_CI = os.environ.get("CI") == "true" and SHARED.is_dir()
NOT_OURS = ("this user may not", "mounting a file system", "no package index")
"""How reasons to skip begin that no set-up of the tests could remove."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a skipped test fails: what it needs is to be installed or started by `.ci/run` or a fixture."""
    report = yield
    if IN_CI and report.skipped and isinstance(report.longrepr, tuple):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if not reason.startswith(NOT_OURS):
            report.outcome, report.longrepr = "failed", f"{item.nodeid} may not skip in CI: {reason}"
    return report


@pytest.fixture(scope="session")
def oracles() -> Path:
    """The folder of recorded inputs and outputs; the tests that need it skip where it is absent."""
    folder = SHARED / "oracles"
    if not folder.is_dir():
        pytest.skip(f"no recorded outputs of the published implementations in {folder}")
    return folder


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder whose data/ holds real archives; the tests that need it skip where it is absent."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"no real archives in {SHARED / 'data'}; set DIFFDISTILL_SHARED to the folder that has data/")
    return SHARED
