"""Bars on a terminal."""

import io
import json
from pathlib import Path

import pytest

from diffdistill.runtime import progress
from diffdistill.terminal.board import MOST_BARS, RED, Board
from diffdistill.terminal.jobs import Job


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)


def test_only_a_few_running_jobs_have_a_bar_those_with_progress_first(tmp_path: Path) -> None:
    stream = Terminal()
    board = Board(stream)
    jobs = {number: Job(f"job{number}", [], [str(tmp_path / f"{number}.log")]) for number in range(MOST_BARS + 2)}
    progress.beside(tmp_path / "4.log").write_text(json.dumps({"done": 5, "total": 10, "unit": "{it}"}))
    board.running(jobs.items())
    shown = stream.getvalue()
    board.close()
    assert "job4 " in shown and "5/10 it" in shown and "job1" in shown and "job3" not in shown


def test_colours_are_left_out_where_they_are_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    for wanted, colour in ((True, True), (False, False)):
        stream = Terminal()
        Board(stream, colour=colour).line("failed", RED)
        assert (RED in stream.getvalue()) == wanted
    monkeypatch.setenv("NO_COLOR", "1")
    Board(stream := Terminal()).line("failed", RED)
    assert RED not in stream.getvalue()


def test_a_dumb_terminal_has_no_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    board = Board(stream := Terminal())
    board.whole(1, 2)
    board.line("hello", clock=False)
    assert stream.getvalue() == "hello\n"
