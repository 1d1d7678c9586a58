"""What docs/ says to type can be planned, and what it says to write is understood."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from diffdistill import config
from tests.workflow.conftest import REPOSITORY, copy_project

PAGES = [
    REPOSITORY / "docs" / f"{name}.md"
    for name in (
        "own-data",
        "sources",
        "judge",
        "small-sets",
        "cluster",
        "offline",
        "install",
        "results",
        "training",
        "evaluation",
    )
] + [REPOSITORY / "benchmarks" / "README.md"]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), flags=re.DOTALL)


COMMANDS = [
    (page.name, line.split("  #")[0].strip())
    for page in PAGES
    for text in blocks(page, "bash")
    for line in text.splitlines()
]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with what the pages say to write beside config.yaml, each under the name in its first line."""
    folder = copy_project(tmp_path / "project")
    shutil.copytree(REPOSITORY / "slurm", folder / "slurm", dirs_exist_ok=True)
    (folder / "flowers").mkdir()
    for page in PAGES:
        for text in blocks(page, "yaml"):
            (folder / text.split("\n", 1)[0].removeprefix("# ")).write_text(text)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_commands_can_be_planned(project: Path, page: str, command: str) -> None:
    program, *arguments = shlex.split(command)
    assert program == ".venv/bin/snakemake", page
    planned = subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments, "--dry-run"], cwd=project, capture_output=True, text=True
    )
    assert planned.returncode == 0, planned.stdout + planned.stderr


def merged(below: object, above: object) -> object:
    """As snakemake overlays a second file: mappings are merged, all else is replaced."""
    if isinstance(below, dict) and isinstance(above, dict):
        return {**below, **{key: merged(below.get(key), value) for key, value in above.items()}}
    return above


@pytest.mark.parametrize("text", [text for page in PAGES for text in blocks(page, "yaml")])
def test_blocks_are_understood(text: str) -> None:
    values = merged(yaml.safe_load((REPOSITORY / "config.yaml").read_text()), yaml.safe_load(text))
    assert isinstance(values, dict)
    parsed = config.parse(values)
    assert all(name in parsed.experiments for name in yaml.safe_load(text)["experiments"])


def test_every_download_is_listed_with_its_place() -> None:
    page = (REPOSITORY / "docs/offline.md").read_text()
    parsed = config.parse(yaml.safe_load((REPOSITORY / "config.yaml").read_text()))
    for name, experiment in parsed.experiments.items():
        places = [experiment.source.file(name)] if experiment.source.urls else []
        if experiment.train.start is not None:
            places.append(experiment.train.start.file(name))
        if experiment.fid.features == "inception":
            places.append(experiment.fid.inception_weights)
        assert all(f"`{place}` |" in page for place in places)
        assert all(f"`{url}`" in page for url in experiment.source.urls)
    assert f"`{config.INCEPTION_URL}`" in page


def test_pages_are_short_and_lead_somewhere() -> None:
    for page in PAGES:
        text = page.read_text()
        assert len(text.splitlines()) < 60, page
        assert all((page.parent / link).exists() for link in re.findall(r"\]\(([^):]+)\)", text)), page
