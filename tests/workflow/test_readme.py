"""Every command of the README works: make targets are what CI and tests run, snakemake lines are planned here."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workflow.conftest import REPOSITORY

BLOCKS = re.findall(r"```bash\n(.*?)```", (REPOSITORY / "README.md").read_text(), flags=re.DOTALL)
COMMANDS = [line.split("  #")[0].split("   #")[0].strip() for block in BLOCKS for line in block.splitlines() if line]


def test_make_targets_are_run_by_ci_or_by_tests() -> None:
    targets = {command.split()[1] for command in COMMANDS if command.startswith("make ")}
    assert targets == {"demo", "test"} and "make test-all\n" in (REPOSITORY / ".ci/run").read_text()
    makefile = (REPOSITORY / "Makefile").read_text()  # test_demo.py runs that rule with a smaller network
    assert re.search(r"^demo: install\n\t\$\(BIN\)/snakemake --cores all \S+ demo$", makefile, re.MULTILINE)


@pytest.mark.slow
@pytest.mark.parametrize("command", [command for command in COMMANDS if "snakemake" in command])
def test_snakemake_lines_can_be_planned(project: Path, command: str) -> None:
    program, *arguments = shlex.split(command)
    assert program == ".venv/bin/snakemake"
    planned = subprocess.run(
        [sys.executable, "-m", "snakemake", "-n", *arguments], cwd=project, capture_output=True, text=True
    )
    assert planned.returncode == 0, planned.stdout + planned.stderr
    assert "sample" in planned.stdout + planned.stderr


def test_there_is_nothing_else_to_type() -> None:
    assert all(command.startswith(("make ", ".venv/bin/snakemake ")) for command in COMMANDS)
