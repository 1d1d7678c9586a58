"""The handler that Snakemake's logger plugin `diffdistill` consists of."""

import logging
import os
import re
import sys
import threading
from collections.abc import Callable
from typing import Any

from snakemake.logging import ColorizingTextHandler  # type: ignore[import-untyped]
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from diffdistill.runtime import progress
from diffdistill.terminal.board import RED, YELLOW, Board
from diffdistill.terminal.jobs import Job

REFRESH_SECONDS = 0.5
BOILERPLATE = re.compile(
    "|".join(
        [
            "Assuming unrestricted shared filesystem", "Building DAG", "Using shell", "Select jobs to execute",
            "Conda environments: ignored", "Singularity containers: ignored", "Group jobs: inactive",
            "Config file .* is extended", "Activating (conda|singularity)", "Elapsed time",
            "Removing output files of failed job", "Submitted (group )?job",
            r"(Group )?[Jj]ob \S+ has been submitted with",
        ]
    )
)  # fmt: skip
"""Beginnings of Snakemake's messages that say nothing about the run."""
POINTER = "For further error details see"
"""Beginning of the message of a failed job that only points to its logs."""
REPEATED = re.compile(r"returned non-zero exit status|died with <?Signals?\b|died with .*SIG")
"""What Snakemake says of a failed job, with the whole command line, beside the record of the failure itself."""


class LogHandler(LogHandlerBase):
    """A line for each start and end of a job, bars on a terminal; Snakemake's own output for dry runs and --verbose."""

    def __post_init__(self) -> None:
        settings = self.common_settings
        stream = sys.stdout if settings.stdout else sys.stderr
        self._everything: ColorizingTextHandler | None = None
        if settings.dryrun or settings.verbose or settings.printshellcmds or settings.debug_dag:
            self._everything = ColorizingTextHandler(nocolor=settings.nocolor, stream=stream)
        else:
            os.environ[progress.VARIABLE] = (
                "workflow"  # the stages, which inherit it, leave the terminal to this process
            )
        quiet = {str(kind).rsplit(".", 1)[-1].lower() for kind in settings.quiet or ()}
        self._board = Board(stream, colour=not settings.nocolor, bars=not quiet & {"all", "progress"})
        self._jobs: dict[int, Job] = {}
        self._names: dict[int, str] = {}
        self._ended = threading.Event()
        self._drawing = threading.Lock()
        self._thread: threading.Thread | None = None
        self._shows: dict[Any, Callable[[Any], None]] = {
            LogEvent.RUN_INFO: self._plan,
            LogEvent.JOB_INFO: self._start,
            LogEvent.JOB_FINISHED: self._end,
            LogEvent.JOB_ERROR: self._fail,
            LogEvent.PROGRESS: lambda record: self._board.whole(record.done, record.total),
            LogEvent.ERROR: self._error,
            None: self._message,
        }
        for event in (LogEvent.WORKFLOW_STARTED, LogEvent.SHELLCMD, LogEvent.JOB_STARTED, LogEvent.RESOURCES_INFO):
            self._shows[event] = lambda record: None

    writes_to_stream = property(lambda self: True)
    writes_to_file = property(lambda self: False)
    has_filter = property(lambda self: False)  # Snakemake's own obeys --quiet
    has_formatter = property(lambda self: False)
    needs_rulegraph = property(lambda self: False)

    def emit(self, record: logging.LogRecord) -> None:
        """Show one of Snakemake's records."""
        if self._everything is not None:
            self._everything.setFormatter(self.formatter)
            self._everything.emit(record)
            return
        try:
            with self._drawing:
                self._shows.get(getattr(record, "event", None), self._message)(record)
        except BrokenPipeError:
            raise
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Stop drawing; Snakemake calls this more than once."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._board.close()
        super().close()

    def _plan(self, record: Any) -> None:
        counts = {rule: count for rule, count in record.stats.items() if rule != "total"}
        listed = ", ".join(rule if count == 1 else f"{count} {rule}" for rule, count in counts.items())
        self._board.line(f"{record.stats['total']} jobs: {listed}")
        self._board.whole(0, record.stats["total"])
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, daemon=True)
            self._thread.start()

    def _start(self, record: Any) -> None:
        job = self._jobs[record.jobid] = Job.of(vars(record))
        self._names[record.jobid] = job.name
        self._board.line(record.rule_msg or job.starts())

    def _end(self, record: Any) -> None:
        job = self._jobs.pop(record.job_id, None)
        if job is not None:
            self._show_loud(job)
            self._board.running(self._jobs.items())
            self._board.line(job.ends())

    def _fail(self, record: Any) -> None:
        job = self._jobs.pop(record.jobid, None) or Job.of({**vars(record), "wildcards": {}})
        self._show_loud(job)
        self._board.running(self._jobs.items())
        message = "" if (record.rule_msg or "").startswith(POINTER) else record.rule_msg or ""
        self._board.line(job.fails(message, record.log), RED)

    def _error(self, record: Any) -> None:
        if not REPEATED.search(record.getMessage()):
            self._board.line(record.getMessage(), RED, clock=False)

    def _message(self, record: Any) -> None:
        text = self.format(record) if getattr(record, "event", None) else record.getMessage()
        if record.levelno < logging.WARNING and (text in ("", "None") or BOILERPLATE.match(text)):
            return
        text = re.sub(
            r"(restart job) (\d+)", lambda found: f"{found[1]} {self._names.get(int(found[2]), found[2])}", text
        )
        colour = RED if record.levelno >= logging.ERROR else YELLOW if record.levelno >= logging.WARNING else ""
        self._board.line(text, colour, clock=False)

    def _show_loud(self, job: Job) -> None:
        for entry in job.loud():
            self._board.line(f"{job.name}: {entry}", YELLOW if entry.startswith("warning") else RED)

    def _watch(self) -> None:
        while not self._ended.wait(REFRESH_SECONDS):
            with self._drawing:
                for job in self._jobs.values():
                    self._show_loud(job)
                self._board.running(self._jobs.items())
