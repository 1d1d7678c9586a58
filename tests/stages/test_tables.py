from pathlib import Path

from tests.report.conftest import build


def test_a_folder_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    project = build(tmp_path, {"small": {}})
    assert project.run("tables") == 0
    folder = project.folder / "tables"
    (folder / "stale.csv").write_text("of an older version")
    assert project.run("tables") == 0 and not (folder / "stale.csv").exists()
    before = {path: path.read_bytes() for path in folder.iterdir()}
    project.file("small", "fid").write_text("step\n1\n")
    assert project.run("tables") != 0
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in project.folder.iterdir() if path.name.startswith(".")] == []
