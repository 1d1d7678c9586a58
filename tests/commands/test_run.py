"""`diffdistill run` finds the workflow, and a wheel that carries it works away from the repository."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from diffdistill.commands import run
from diffdistill.commands.main import main
from diffdistill.errors import UserError

from .pictures import noise

REPOSITORY = Path(__file__).parents[2]


def test_a_clone_runs_its_own_workflow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert run.workflow_folder() == REPOSITORY
    monkeypatch.chdir(tmp_path)
    command = run.command(["--configfile", "mine.yaml"], REPOSITORY)[3:]
    assert command == [
        "--snakefile", str(REPOSITORY / "workflow/Snakefile"),
        "--workflow-profile", str(REPOSITORY / "profiles/default"), "--cores", "all", "--configfile", "mine.yaml",
    ]  # fmt: skip


def test_what_the_user_gives_is_not_given_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    given = ["--snakefile=own", "--workflow-profile", "own", "--cores=1"]
    assert run.command(given, REPOSITORY)[3:] == given
    (tmp_path / "profiles/default").mkdir(parents=True)
    assert "--workflow-profile" not in run.command(["-n"], REPOSITORY)  # snakemake finds that of the current folder
    assert "--cores" not in run.command(["--profile", "slurm"], REPOSITORY)


def test_a_folder_without_a_config_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", "-n"]) == 2
    assert capsys.readouterr().err.startswith("error: no config.yaml here; give the file that `diffdistill init` wrote")
    monkeypatch.setattr(run, "PACKAGE", tmp_path / "lib/python/diffdistill")
    with pytest.raises(UserError, match="without its workflow"):
        run.workflow_folder()


@pytest.mark.slow
def test_a_wheel_goes_from_a_folder_of_pictures_to_an_accuracy(tmp_path: Path) -> None:
    """Installed without its dependencies, which are the environment's: a clean one would download torch."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    built = ["--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(tmp_path / "dist")]
    subprocess.run([*pip, "wheel", *built, _sources(tmp_path)], check=True)
    (wheel,) = (tmp_path / "dist").glob("diffdistill-*.whl")
    site = tmp_path / "site"
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", str(site), str(wheel)], check=True)
    environment = {**os.environ, "PYTHONPATH": str(site)}
    folder = tmp_path / "elsewhere"
    noise(folder / "pictures", "a", "b", "c", each=20)
    (folder / "pictures/a/1.txt").write_text("words")

    def diffdistill(*arguments: str) -> str:
        command = [sys.executable, str(site / "bin/diffdistill"), *arguments]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=500)
        assert done.returncode == 0, done.stdout + done.stderr[-4000:]
        return done.stdout + done.stderr

    diffdistill("init", "pictures", "--hours", "2", "--budget", "20")
    _shorten(folder / "mine.yaml")
    assert "sample" in diffdistill("run", "-n", "--configfile", "mine.yaml")
    diffdistill("run", "--configfile", "mine.yaml", "--cores", "2", "results/pictures/accuracy.csv")
    runs = pd.read_csv(folder / "results/pictures/accuracy.csv")
    assert len(runs) == 1 and runs["accuracy"].between(0, 1).all()
    assert not (folder / "workflow").exists()


def _sources(folder: Path) -> str:
    """A copy of what a release is built from: building leaves files beside the sources."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    copy = folder / "sources"
    for name in filter(None, names.stdout.split("\0")):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes((REPOSITORY / name).read_bytes())
    return str(copy)


def _shorten(path: Path) -> None:
    """Fewer iterations and steps than proposed, and not compiled, which would take longer than they do."""
    block = yaml.safe_load(path.read_text())
    experiment = block["experiments"]["pictures"]
    experiment["train"] |= {"iterations": 80, "slice_iterations": 80, "warmup_iterations": 4, "compile": False}
    experiment["fid"] |= {"every": 80, "images": 60}
    experiment["evaluate"]["protocol"]["steps"] = 20
    experiment["evaluate"]["seeds"] = [0]
    path.write_text(yaml.safe_dump(block))
