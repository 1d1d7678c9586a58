"""What the command line of a stage does besides its settings, which tests/stages/test_bad_input.py gives wrongly."""

import logging
from pathlib import Path

import pytest

from diffdistill.config.stages import History
from diffdistill.runtime import program


def run(folder: Path, stage: "object", *arguments: str) -> int:
    return program.run("history", lambda: stage, History, ["--log", str(folder / "x.log"), *arguments])  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize(
    ("rank", "local_rank", "heard"),
    [("0", "0", {"begun", "wrong", "unexpected"}), ("4", "0", {"wrong", "unexpected"}), ("1", "1", {"unexpected"})],
)
def test_who_logs_what(
    rank: str,
    local_rank: str,
    heard: set[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("LOCAL_RANK", local_rank)

    def stage(job: object) -> None:
        logger = logging.getLogger("diffdistill.stages.some")
        logger.info("begun")
        logger.error("wrong")
        try:
            raise RuntimeError
        except RuntimeError:
            logger.exception("unexpected")

    assert run(tmp_path, stage) == 0
    error = capsys.readouterr().err
    assert {word for word in ("begun", "wrong", "unexpected") if word in error} == heard
    assert (tmp_path / "x.log").exists() == (rank == "0")


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (MemoryError(), 2, "error: out of memory (MemoryError); give the job more, or lower batch_size"),
        (OSError(28, "No space left on device", "a.txt"), 2, "error: a.txt: no space left on device; free some space"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: x"), 2, "out of memory"),
        (RuntimeError("strange"), 1, "unexpected error; please report it with this log"),
        (KeyboardInterrupt(), 130, "stopped from the keyboard; the same command goes on"),
    ],
)
def test_what_the_machine_refuses_ends_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, message: str
) -> None:
    def stage(job: object) -> None:
        raise error

    assert run(tmp_path, stage) == code
    said = capsys.readouterr().err
    assert message in said and ("Traceback" in said) == (code == 1)


def test_the_log_begins_with_the_command_and_outlives_a_failure(tmp_path: Path) -> None:
    def stage(job: object) -> None:
        raise MemoryError

    run(tmp_path, stage)
    assert "command: " in (tmp_path / "x.log").read_text().splitlines()[0]
    assert (tmp_path / "x.attempt-1.log").read_text() == (tmp_path / "x.log").read_text()


def test_settings_come_from_a_file_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "settings.json").write_text("{}")
    asked = []
    assert run(tmp_path, asked.append, "--settings-file", str(tmp_path / "settings.json")) == 0
    assert asked[0].settings == History()
    (tmp_path / "settings.json").write_text('{"x": 1}')
    assert run(tmp_path, asked.append, "--settings-file", str(tmp_path / "settings.json")) == 2
    assert "settings.json: unknown key 'x'" in capsys.readouterr().err
