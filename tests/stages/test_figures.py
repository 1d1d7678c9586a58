from pathlib import Path

import pytest

from diffdistill.report import style
from tests.report.conftest import build


def test_a_failure_leaves_the_former_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = build(tmp_path, {"small": {"kinds": ("real", "samples")}})
    assert project.run("figures") == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "figures").iterdir()}
    assert sorted(before) == ["classes_small.pdf", "classes_small.png", "samples_small.pdf", "samples_small.png"]

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device", "x")

    monkeypatch.setattr(style, "save", fail)
    assert project.run("figures") == 2
    assert {path.name: path.read_bytes() for path in (tmp_path / "figures").iterdir()} == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
