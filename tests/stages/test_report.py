import json
import os
from pathlib import Path

from diffdistill.config import stages
from diffdistill.report import results
from tests import command
from tests.report.conftest import REPOSITORY, build


def test_a_report_of_two_hundred_experiments(tmp_path: Path) -> None:
    """G20: settings come through a file; their text is longer than a command's argument may be."""
    (reported,) = build(tmp_path, {"small": {"kinds": ("real", "account", "distilled")}}).report.experiments.values()
    padded = {"note": "x" * 1000}
    many = {f"e{number}": reported.model_copy(update={"settings": padded}) for number in range(200)}
    folder = tmp_path
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
