"""Every benchmark that a page names runs: at toy size, with a table of numbers, and without a change of any page."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from benchmarks import gpu, measuring, projects, slurm_kills

REPOSITORY = Path(__file__).parents[2]
FOLDER = REPOSITORY / "benchmarks"
PAGES = [*FOLDER.glob("*.md"), *(REPOSITORY / "docs").glob("*.md"), REPOSITORY / "README.md", REPOSITORY / "Makefile"]
WITHOUT_TOY = {
    "sets": "reads and writes 50,000 images in every form; tests/data/sets covers the readers",
    "small": "`page` rewrites SMALL.md from recorded rows",
}
"""Modules that have no --toy, with the reason: their command line must at least be understood."""
ELSEWHERE = {"slurm_kills"}
"""Modules whose toy needs a cluster: tests/workflow/test_slurm.py runs it."""


COMMAND = re.compile(r"python -m benchmarks\.(\w[^`\n\[]*?)\s*(?=[`\n\[]| measures)")


def named() -> list[str]:
    """Commands as the pages name them, each once, without `python -m benchmarks.`."""
    return sorted({match.strip() for page in PAGES for match in COMMAND.findall(page.read_text(encoding="utf-8"))})


COMMANDS = named()
TOYS = [command for command in COMMANDS if command.split()[0] not in WITHOUT_TOY.keys() | ELSEWHERE]
Ended = subprocess.CompletedProcess[str]


def run(command: str, *arguments: str) -> Ended:
    module, *rest = shlex.split(command)
    return subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module}", *rest, *arguments],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def contents() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in FOLDER.iterdir() if path.suffix in (".md", ".png", ".jsonl")}


@pytest.fixture(scope="module")
def before() -> dict[str, bytes]:
    return contents()


@pytest.fixture(scope="module")
def toys(before: dict[str, bytes]) -> Iterator[Mapping[str, Future[Ended]]]:
    """All toy runs, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        yield {command: pool.submit(run, command, "--toy") for command in TOYS}


def test_pages_name_every_benchmark() -> None:
    runnable = {path.stem for path in FOLDER.glob("*.py") if "if __name__ ==" in path.read_text(encoding="utf-8")}
    assert {command.split()[0] for command in COMMANDS} == runnable


@pytest.mark.slow
@pytest.mark.parametrize("command", TOYS)
def test_named_command_runs_at_toy_size(command: str, toys: Mapping[str, Future[Ended]]) -> None:
    ended = toys[command].result()
    assert ended.returncode == 0, ended.stdout + ended.stderr
    head, rule = r"^\|[^\n]*\|\n", r"^\|[-:| ]+\|\n"
    tables = re.findall(f"{head}{rule}(.*)", ended.stdout, re.MULTILINE | re.DOTALL)
    assert tables, ended.stdout
    assert re.search(r"^\|.*\| *[-\d.,]+[^|]*\|", tables[-1], re.MULTILINE), ended.stdout


@pytest.mark.slow
def test_toy_runs_change_no_page(before: dict[str, bytes], toys: Mapping[str, Future[Ended]]) -> None:
    for toy in toys.values():
        toy.result()
    assert contents() == before


@pytest.mark.slow
@pytest.mark.parametrize("module", WITHOUT_TOY)
def test_other_commands_are_understood(module: str) -> None:
    ended = run(module, "--help")
    assert ended.returncode == 0, ended.stderr
    assert "--toy" not in ended.stdout, f"take {module} out of WITHOUT_TOY"


def test_gpu_refuses_without_one_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main([]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and "--toy" in said.err


def test_slurm_kills_refuses_without_slurm_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert slurm_kills.main([]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and "sbatch" in said.err


def snakemake_commands() -> list[str]:
    """Those that overlay a file of this folder, from the pages and from the files themselves."""
    texts = [path.read_text(encoding="utf-8") for path in (*FOLDER.glob("*.md"), *FOLDER.glob("*.yaml"))]
    found = (re.findall(r"snakemake (--cores 2 --configfile benchmarks/[^`\n(]+)", text) for text in texts)
    return sorted({command.strip() for commands in found for command in commands})


@pytest.mark.slow
@pytest.mark.parametrize("command", snakemake_commands())
def test_snakemake_commands_can_be_planned(command: str, tmp_path: Path) -> None:
    project = projects.copy(tmp_path / "project")
    shutil.copytree(FOLDER, project / "benchmarks", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    raw = project / "data/fashion-mnist"
    raw.mkdir(parents=True)
    for part in ("train", "t10k"):
        for kind in ("images-idx3", "labels-idx1"):
            (raw / f"{part}-{kind}-ubyte").touch()
    options, _, targets = command.partition(" -- ")
    planned = subprocess.run(
        [sys.executable, "-m", "snakemake", "--dry-run", *shlex.split(options), "--", *shlex.split(targets)],
        cwd=project, capture_output=True, text=True,
    )  # fmt: skip
    assert planned.returncode == 0, planned.stdout + planned.stderr


def test_rows_name_the_class_of_processor() -> None:
    row = measuring.Row("claim", "reference", None, [1.0])
    assert row.line() == f"| claim | reference | {measuring.processor_class()} | none | 1.00 | 1.00 to 1.00 |"
