import json
import os
from pathlib import Path

import pytest

from diffdistill.config import stages
from diffdistill.report import parts, results
from tests import command
from tests.report.conftest import FINISHED, REPOSITORY, Make


def names(folder: Path, ending: str) -> set[str]:
    return {path.stem for path in folder.glob(f"*.{ending}")}


def test_names_of_parts_are_unique_and_their_needs_exist() -> None:
    fields = {*results.Experiment.__dataclass_fields__, "network", "challenge", "audit_pairs"}
    for kind in (parts.TABLES, parts.FIGURES):
        assert len({part.name for part in kind}) == len(kind)
        assert all(set(part.needs) <= fields and bool(part.of_all) != bool(part.of_each) for part in kind)


def test_figures_made_twice_are_the_same_bytes(make: Make) -> None:
    project = make(cifar100={"size": 16, "channels": 3})
    written = []
    for _ in range(2):
        assert project.run("figures") == 0
        written.append({path.name: path.read_bytes() for path in (project.folder / "figures").iterdir()})
    assert len(written[0]) == 12  # four of all experiments and two of this one, as pdf and png
    assert written[0] == written[1]


@pytest.mark.parametrize(
    ("kinds", "tables", "figures"),
    [
        (("real",), set(), set()),
        (("real", "samples"), set(), {"samples_x", "classes_x"}),
        (("real", "accuracy"), {"accuracy"}, {"accuracy"}),
        (("real", "fid"), {"generators", "models"}, {"fid_curve"}),
        (("real", "loss"), set(), {"loss_curve"}),
        (FINISHED, {"accuracy", "sampling"}, {"accuracy", "samples_x", "classes_x"}),
    ],
)
def test_a_part_is_made_if_what_it_needs_exists(
    make: Make, kinds: tuple[str, ...], tables: set[str], figures: set[str]
) -> None:
    project = make(x={"kinds": kinds})
    assert project.run("tables", "figures", "report") == 0
    found = names(project.folder / "tables", "csv"), names(project.folder / "figures", "png")
    assert found == (tables, figures)
    assert "<h2>x</h2>" in project.page.read_text()


def test_a_folder_is_written_whole_or_not_at_all(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make(small={})
    assert project.run("tables") == 0
    folder = project.folder / "tables"
    (folder / "stale.csv").write_text("of an older version")
    assert project.run("tables") == 0 and not (folder / "stale.csv").exists()
    before = {path: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr(results, "table", lambda *_: None)  # the leaderboard, which is read first
    project.file("small", "fid").write_text("step\n1\n")
    assert project.run("tables") != 0
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in project.folder.iterdir() if path.name.startswith(".")] == []


def test_a_report_of_two_hundred_experiments(make: Make) -> None:
    """G20: settings come through a file; their text is longer than a command's argument may be."""
    (reported,) = make(small={"kinds": ("real", "account", "distilled")}).report.experiments.values()
    padded = {"note": "x" * 1000}
    many = {f"e{number}": reported.model_copy(update={"settings": padded}) for number in range(200)}
    folder = Path(reported.files.real).parents[1]
    leaderboard = str(REPOSITORY / "resources/leaderboard.csv")
    report = stages.Report(name="many", experiments=many, leaderboard=leaderboard)
    settings = folder / "settings.json"
    settings.write_text(json.dumps(report.model_dump(mode="json")))
    assert settings.stat().st_size > 131_072
    for stage, outputs in (
        ("tables", ["folder=tables"]), ("figures", ["folder=figures"]), ("report", ["page=p.html", "summary=s.txt"]),
    ):  # fmt: skip
        pairs = [f"{name}={folder / file}" for name, file in (pair.split("=") for pair in outputs)]
        inputs = [f"{name}={folder / name}" for name in ("tables", "figures")]
        assert command.main([stage, "--settings-file", os.fspath(settings), "--in", *inputs, "--out", *pairs]) == 0
    assert (folder / "p.html").read_text().count("<section id=") == 200
    assert len(results.table(folder / "tables/sampling.csv")) == 200
