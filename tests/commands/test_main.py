"""The console command hands each sub-command what follows it."""

import pytest

from diffdistill.commands import run
from diffdistill.commands.main import main


def test_help_and_unknown_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == main(["--help"]) == 0
    assert "init PATH" in capsys.readouterr().out
    assert main(["deploy"]) == 2
    assert capsys.readouterr().err == "error: unknown command 'deploy'; known: init, run\n"


def test_run_gets_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[str] = []
    monkeypatch.setattr(run, "main", lambda arguments: given.extend(arguments) or 3)
    assert main(["run", "-n", "--configfile", "mine.yaml"]) == 3
    assert given == ["-n", "--configfile", "mine.yaml"]
