"""Progress of a stage: a bar, or a file that another process shows."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from diffdistill.runtime import progress


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    path = progress.beside(tmp_path / "train.log")
    progress.write_to(path)
    yield path
    progress.write_to(None)


def test_a_bar_writes_its_state_beside_the_log_and_removes_it(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with progress.Bar(total=10, desc="train", unit="it", disable=None) as bar:
        bar.update(4)
        bar.refresh()
        assert json.loads(file.read_text()) == {"description": "train", "done": 4, "total": 10, "unit": "it"}
    assert list(file.parent.iterdir()) == [] and file.name == "train.progress"
    assert capsys.readouterr() == ("", "")


def test_a_bar_of_another_process_than_the_first_writes_nothing(file: Path) -> None:
    assert list(progress.Bar(range(3), disable=True)) == [0, 1, 2]
    assert not file.exists()


def test_a_file_that_cannot_be_written_does_not_end_the_work(file: Path) -> None:
    file.parent.rmdir()
    assert list(progress.Bar(range(3))) == [0, 1, 2]


def test_without_a_file_it_is_a_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.Bar(total=2, desc="train", disable=False) as bar:
        bar.update()
    assert "train" in capsys.readouterr().err


def test_the_terminal_belongs_to_another_process_where_the_variable_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(progress.VARIABLE, raising=False)
    assert not progress.is_hidden()
    monkeypatch.setenv(progress.VARIABLE, "workflow")
    assert progress.is_hidden()
