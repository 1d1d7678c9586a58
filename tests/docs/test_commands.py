"""What docs/ says to type can be planned, and what it says to write is understood."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from diffdistill import config
from diffdistill.commands import proposal, timing
from diffdistill.commands.main import main
from tests.commands.pictures import noise
from tests.deployment import pretend
from tests.workflow.conftest import REPOSITORY, copy_project

PAGES = [
    REPOSITORY / "docs" / f"{name}.md"
    for name in (
        "own-data",
        "sources",
        "judge",
        "finished-sets",
        "small-sets",
        "cluster",
        "offline",
        "install",
        "environments",
        "results",
        "training",
        "evaluation",
        "release",
    )
] + [REPOSITORY / "benchmarks" / "README.md"]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), flags=re.DOTALL)


TYPED = [
    (page.name, line.split("  #")[0].strip())
    for page in PAGES
    for text in blocks(page, "bash")
    for line in text.splitlines()
]
OWN = ".venv/bin/diffdistill "
COMMANDS = [(page, command) for page, command in TYPED if not command.startswith((OWN, "make ", "cp "))]
"""What Snakemake can plan; tests/test_envs.py and the use of `make` in every run cover its targets."""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with what the pages say to write beside config.yaml, each under the name in its first line."""
    folder = copy_project(tmp_path / "project")
    for name in ("slurm", "profiles"):
        shutil.copytree(REPOSITORY / name, folder / name, dirs_exist_ok=True)
    for source in {shlex.split(command)[1] for _, command in TYPED if command.startswith("cp ")}:
        shutil.copy(REPOSITORY / source, folder)
    (folder / "flowers").mkdir()
    for page in PAGES:
        for text in (text for text in blocks(page, "yaml") if text.startswith("# ")):
            (folder / text.split("\n", 1)[0].removeprefix("# ")).write_text(text)
    return folder


def test_files_that_the_glossary_names_are_made() -> None:
    rules = "".join(path.read_text() for path in (REPOSITORY / "workflow/rules").glob("*.smk"))
    glossary = (REPOSITORY / "docs/glossary.md").read_text()
    named = re.findall(r"`((?:data|results)/\{[^`]*\.\w+)`", glossary)
    assert named and [path for path in named if f'"{path}"' not in rules] == []


@pytest.mark.slow
@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_commands_can_be_planned(project: Path, page: str, command: str) -> None:
    program, *arguments = shlex.split(command)
    assert program == ".venv/bin/snakemake", page
    if "profiles/lsf" in arguments and find_spec("snakemake_executor_plugin_lsf") is None:
        pytest.skip("the plugin is not installed: pip install --requirement envs/optional.lock")
    variables = os.environ
    if "--sdm" in arguments:
        (project / "diffdistill.sif").touch()
        variables = {**os.environ, "PATH": f"{pretend(project)}:{os.environ['PATH']}"}
    command = [sys.executable, "-m", "snakemake", *arguments, "--dry-run"]
    planned = subprocess.run(command, cwd=project, capture_output=True, text=True, env=variables)
    assert planned.returncode == 0, planned.stdout + planned.stderr


@pytest.mark.parametrize("command", [command for _, command in TYPED if command.startswith(OWN)])
def test_own_commands_write_what_the_next_line_reads(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The measurements are replaced: tests/commands takes them."""
    noise(tmp_path / "flowers", "rose", "lily")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(timing, "denoiser_step", lambda *arguments: 0.01)
    monkeypatch.setattr(timing, "convnet_step", lambda *arguments: 0.01)
    monkeypatch.setattr(proposal, "LADDER", proposal.LADDER[:1])
    assert main(shlex.split(command)[1:]) == 0
    assert "flowers" in config.parse(yaml.safe_load(Path("mine.yaml").read_text())).experiments


def test_the_networks_of_the_table_are_those_of_init() -> None:
    rows = [line for line in (REPOSITORY / "docs/own-data.md").read_text().splitlines() if line.startswith("| U-")]
    keys = {"unet": ("channels", "blocks"), "uvit": ("embed_dim", "depth", "num_heads")}
    for one in proposal.LADDER:
        named = ", ".join(str(one[key]) for key in keys[one["kind"]])
        assert any(re.search(rf"(\| |; ){re.escape(named)}( |;)", row) for row in rows), named


def merged(below: object, above: object) -> object:
    """As snakemake overlays a second file: mappings are merged, all else is replaced."""
    if isinstance(below, dict) and isinstance(above, dict):
        return {**below, **{key: merged(below.get(key), value) for key, value in above.items()}}
    return above


@pytest.mark.parametrize("text", [text for page in PAGES for text in blocks(page, "yaml") if "experiments:" in text])
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
        assert len(text.splitlines()) <= 80, page
        assert all((page.parent / link).exists() for link in re.findall(r"\]\(([^):]+)\)", text)), page


def test_the_page_shows_lines_of_the_recorded_terminal() -> None:
    recorded = (REPOSITORY / "docs/demo.txt").read_text().splitlines()
    (shown,) = blocks(REPOSITORY / "docs/install.md", "text")
    lines = [line for line in shown.splitlines() if re.match(r"\d\d:", line)]
    assert len(lines) >= 4 and not set(lines) - set(recorded)
