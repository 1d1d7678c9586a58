"""A user's environment changes no byte of the results, and no job that is planned."""

import sys
from pathlib import Path

import pytest

from tests.faults import fault
from tests.faults.environments import (
    ENVIRONMENTS,
    MODULE,
    PAGE,
    SEEN_BY_SNAKEMAKE,
    Environment,
    Outcome,
    Tiny,
    commands,
    copied_project,
    made,
    snakemake,
    started,
    together,
    write_files,
)

Results = dict[str, object]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return Tiny(tmp_path_factory.mktemp("tiny") / "project")


@pytest.fixture(scope="session")
def undisturbed(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Results:
    ended, results = tiny.run(tmp_path_factory.mktemp("undisturbed"), Environment("nothing"))
    assert ended.code == 0, ended.said
    assert any(path.endswith(".png") for path in results)
    return results


@fault(
    "G22",
    "variables, rc files, locales, folders and streams of a user change results or end jobs",
    "all of them give the same bytes: set, accuracies and figures",
)
@pytest.mark.slow
@pytest.mark.parametrize("environment", together(ENVIRONMENTS), ids=lambda one: one.name)
def test_the_same_bytes(tiny: Tiny, undisturbed: Results, tmp_path: Path, environment: Environment) -> None:
    ended, results = tiny.run(tmp_path, environment)
    assert ended.code == 0, ended.said
    assert [path for path in undisturbed if results.get(path) != undisturbed[path]] == []
    assert results.keys() == undisturbed.keys()


PLAN = ("--dry-run", "--printshellcmds")


def planned_alike(tiny: Tiny, outcome: Outcome) -> None:
    """Exactly the undisturbed jobs, with the same settings."""
    assert outcome.code == 0 and "Traceback" not in outcome.said, outcome.said
    assert sorted(commands(outcome.said)) == sorted(tiny.commands)


@fault(
    "G22", "the environment changes which jobs are planned, or their settings", "the same jobs are planned under all"
)
@pytest.mark.slow
@pytest.mark.parametrize("environment", together(SEEN_BY_SNAKEMAKE), ids=lambda one: one.name)
def test_the_same_jobs(tiny: Tiny, tmp_path: Path, environment: Environment) -> None:
    project = copied_project(tmp_path / environment.folder)
    (tmp_path / "away").mkdir()
    write_files(project, environment)
    command = [sys.executable, "-P", "-m", "snakemake", "--cores", "2", *PLAN, PAGE]
    planned_alike(tiny, started(command, project, tmp_path / "away", environment))


@fault("G01", "without a target nothing is done, and that is called success", "no target means `all`, also by -s")
@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["all"], [], ["--snakefile", "workflow/Snakefile"]], ids=" ".join)
def test_no_target_means_all(tiny: Tiny, arguments: list[str]) -> None:
    planned_alike(tiny, snakemake(tiny.project, {}, *PLAN, *arguments))


@fault("G24", "run in another folder (-d), the workflow misses files of its own", "they are found from anywhere")
@pytest.mark.slow
@pytest.mark.parametrize("own", [False, True], ids=["the workflow's config.yaml", "a config.yaml of its own"])
def test_another_folder(tiny: Tiny, tmp_path: Path, own: bool) -> None:
    if own:
        (tmp_path / "config.yaml").write_text((tiny.project / "config.yaml").read_text())
    planned_alike(tiny, snakemake(tiny.project, {}, *PLAN, "--directory", str(tmp_path), "all"))


@fault(
    "G24", "used as a module, the workflow misses files of its own", "it plans the same jobs under the other's names"
)
@fault(
    "G07", "as a module, its rules read the other workflow's command line", "names of rules and targets decide nothing"
)
@pytest.mark.slow
@pytest.mark.parametrize("arguments", [[], ["dd_all"], ["--jobname", "demo.{jobid}", "dd_all"]], ids=" ".join)
def test_used_as_a_module(tiny: Tiny, tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "Snakefile").write_text(MODULE.format(root=tiny.project))
    (tmp_path / "config.yaml").write_text((tiny.project / "config.yaml").read_text())
    planned_alike(tiny, snakemake(tmp_path, {}, *PLAN, *arguments))


BENT = Environment(
    "all at once",
    {"MPLBACKEND": "TkAgg", "LC_ALL": "C", "PYTHONHASHSEED": "3", "TMPDIR": "{away}", "OMP_NUM_THREADS": "3"},
    {"matplotlibrc": "font.size: 30\n"},  # no random.py: Snakemake's own process for a `run:` rule would import it
    umask=0o077,
    folder="größe 'neu'",
    streams="closed",
)


@fault("G24", "from another folder, or as a module, a run ends in the middle", "it runs to its end, to the same bytes")
@pytest.mark.slow
@pytest.mark.parametrize("module", [False, True], ids=["--directory", "module"])
def test_a_whole_run(tiny: Tiny, undisturbed: Results, tmp_path: Path, module: bool) -> None:
    folder, away = tmp_path / BENT.folder, tmp_path / "away"
    folder.mkdir()
    away.mkdir()
    write_files(folder, BENT)
    (folder / "config.yaml").write_text((tiny.project / "config.yaml").read_text())
    (folder / "Snakefile").write_text(MODULE.format(root=tiny.project))
    command = [sys.executable, "-P", "-m", "snakemake", "--cores", "2"]
    where = ["all", "--snakefile", str(tiny.project / "workflow/Snakefile"), "--directory", str(folder)]
    ended = started(command if module else [*command, *where], folder if module else tmp_path, away, BENT)
    assert ended.code == 0, ended.said
    results = made(folder)
    assert [path for path in undisturbed if results.get(path) != undisturbed[path]] == []
