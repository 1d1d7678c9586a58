"""What a run shows: a line for each start and end of a job, bars on a terminal alone, errors in full."""

import io
import json
import logging
import os
import re
from pathlib import Path
from typing import Any

import pytest
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry
from snakemake_interface_logger_plugins.tests import MockOutputSettings, TestLogHandlerBase

from diffdistill.runtime import progress
from diffdistill.terminal import handler as terminal

LOG = "2026-01-02 03:04:05 command: python -m diffdistill evaluate --settings '{}'\n"


class Stream(io.StringIO):
    """A stream that may be a terminal."""

    def __init__(self, is_terminal: bool) -> None:
        super().__init__()
        self.is_terminal = is_terminal

    def isatty(self) -> bool:
        return self.is_terminal


class Run:
    """A handler and the records of a run of one job."""

    def __init__(self, is_terminal: bool = False, **settings: Any) -> None:
        self.stream, common = Stream(is_terminal), MockOutputSettings()
        for name, value in {"printshellcmds": False, "nocolor": True, **settings}.items():
            setattr(common, name, value)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.stderr", self.stream)
            patch.setattr("sys.stdout", self.stream)
            self.handler = terminal.LogHandler(common_settings=common, settings=None)

    def says(self, event: LogEvent | None = None, message: str = "", level: int = logging.INFO, **fields: Any) -> None:
        record = logging.LogRecord("snakemake", level, "", 1, message, (), None)
        vars(record).update(event=event, **fields)
        self.handler.emit(record)

    def starts(self, log: Path, output: Path, number: int = 7) -> None:
        wildcards = {"dataset": "digits", "seed": "0"}
        fields = {"rule_name": "evaluate", "rule_msg": None, "wildcards": wildcards, "local": True}
        self.says(LogEvent.JOB_INFO, jobid=number, output=[str(output)], log=[str(log)], **fields)

    def fails(self, log: Path, number: int = 7) -> None:
        fields = {"rule_name": "evaluate", "rule_msg": "", "output": []}
        self.says(LogEvent.JOB_ERROR, level=logging.ERROR, jobid=number, log=[str(log)], **fields)

    def shown(self) -> str:
        self.handler.close()
        return re.sub(r"\b\d\d:\d\d:\d\d\b", "TIME", self.stream.getvalue())


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(progress.VARIABLE, "")
    monkeypatch.setenv("TERM", "xterm")


class TestHandlerAsSnakemakeWantsIt(TestLogHandlerBase):
    __test__ = True

    def get_log_handler_cls(self) -> type[terminal.LogHandler]:
        return terminal.LogHandler

    def get_log_handler_settings(self) -> Any:
        return None


def test_snakemake_finds_the_plugin() -> None:
    assert "diffdistill" in LoggerPluginRegistry().get_registered_plugins()


def test_a_job_is_one_line_when_it_starts_and_one_when_it_ends(tmp_path: Path) -> None:
    log, output, run = tmp_path / "0.log", tmp_path / "0.json", Run()
    run.says(LogEvent.RUN_INFO, "Job stats", stats={"evaluate": 2, "report": 1, "total": 3})
    run.starts(log, output)
    run.says(LogEvent.SHELLCMD, "python -m diffdistill ...", shellcmd="python -m diffdistill ...")
    log.write_text(f"{LOG}2026-01-02 03:04:06 accuracy 0.5 on 400 test images\n2026-01-02 03:04:06 done in 1.0 s\n")
    output.write_text("x" * 1500)
    run.says(LogEvent.JOB_FINISHED, "Finished jobid: 7", job_id=7)
    run.says(LogEvent.PROGRESS, done=1, total=3)
    assert run.shown() == (
        "TIME 3 jobs: 2 evaluate, report\n"
        "TIME evaluate digits 0: started\n"
        f"TIME evaluate digits 0: done in 00:00 -> {output} (1.5 kB); accuracy 0.5 on 400 test images\n"
    )


def test_warnings_and_errors_of_a_stage_are_shown_in_full_and_its_command_is_not(tmp_path: Path) -> None:
    log, run = tmp_path / "0.log", Run()
    run.starts(log, tmp_path / "0.json")
    log.write_text(
        f"{LOG}2026-01-02 03:04:06 warning: no flock here\n"
        "2026-01-02 03:04:07 unexpected error; please report it with this log\nTraceback (most recent call last):\n"
        "  File x\nValueError: y\n"
    )
    run.says(LogEvent.ERROR, "CalledProcessError: 'python ...' returned non-zero exit status 1.", logging.ERROR)
    run.fails(log)
    shown = run.shown()
    assert "evaluate digits 0: warning: no flock here\n" in shown and "ValueError: y\n" in shown
    assert f"evaluate digits 0: failed after 00:00\n    log: {log}\n" in shown
    assert "command" not in shown and "non-zero" not in shown and shown.count("Traceback") == 1


def test_a_killed_job_shows_the_end_of_its_log(tmp_path: Path) -> None:
    log, run = tmp_path / "0.log", Run()
    run.starts(log, tmp_path / "0.json")
    log.write_text(LOG + "".join(f"2026-01-02 03:04:06 iteration {step}\n" for step in range(30)))
    run.fails(log)
    assert "iteration 29" in (shown := run.shown()) and "iteration 5\n" not in shown


def test_messages_of_snakemake_are_shown_unless_they_say_nothing() -> None:
    run = Run()
    run.says(message="Building DAG of jobs...")
    run.says(message="Submitted job 8 with external jobid '13712'.")
    run.says(message="Job 8 has been submitted with SLURM jobid 12 (log: x).")
    run.says(message="Nothing to be done (all requested files are present and up to date).")
    run.says(message="Trying to restart job 7.")
    run.says(LogEvent.ERROR, "WorkflowError:\nconfig.yaml: unknown key 'trian'", logging.ERROR)
    run.says(message="Building is slow", level=logging.WARNING)
    assert run.shown().splitlines() == [
        "Nothing to be done (all requested files are present and up to date).",
        "Trying to restart job 7.",
        "WorkflowError:",
        "config.yaml: unknown key 'trian'",
        "Building is slow",
    ]


def test_a_stream_that_is_no_terminal_gets_no_control_characters(tmp_path: Path) -> None:
    run = Run(nocolor=False)
    run.says(LogEvent.RUN_INFO, stats={"evaluate": 1, "total": 1})
    run.starts(tmp_path / "0.log", tmp_path / "0.json")
    run.fails(tmp_path / "0.log")
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", run.shown())


def test_a_terminal_has_a_bar_for_all_jobs_and_one_for_the_running_job(tmp_path: Path) -> None:
    log, run = tmp_path / "0.log", Run(is_terminal=True)
    progress.beside(log).write_text(json.dumps({"description": "train", "done": 30, "total": 120, "unit": "it"}))
    run.says(LogEvent.PROGRESS, done=1, total=3)
    run.starts(log, tmp_path / "0.json")
    run.handler._board.running(run.handler._jobs.items())
    shown = run.shown()
    assert re.search(r"all jobs .*1/3", shown) and re.search(r"evaluate digits 0 .*30/120 it", shown)
    assert "evaluate digits 0: started\n" in shown


def test_a_job_that_waits_in_a_queue_has_no_bar(tmp_path: Path) -> None:
    run = Run(is_terminal=True)
    fields = {"rule_name": "train", "rule_msg": None, "wildcards": {}, "local": False, "output": [], "log": []}
    run.says(LogEvent.JOB_INFO, jobid=1, **fields)
    run.handler._board.running(run.handler._jobs.items())
    assert run.shown().endswith("train: submitted\n")


@pytest.mark.parametrize("setting", ["verbose", "dryrun", "printshellcmds"])
def test_everything_is_shown_where_it_is_asked_for(setting: str) -> None:
    run = Run(**{setting: True})
    run.handler.setFormatter(logging.Formatter("%(message)s"))
    run.says(message="Building DAG of jobs...")
    assert "Building DAG of jobs..." in run.shown() and os.environ[progress.VARIABLE] == ""


def test_stages_below_the_handler_leave_the_terminal_to_it() -> None:
    Run()
    assert progress.is_hidden()


def test_the_profiles_choose_the_plugin() -> None:
    for profile in ("profiles/default", "slurm"):
        assert "logger: [diffdistill]" in (Path(__file__).parents[2] / profile / "config.yaml").read_text()
