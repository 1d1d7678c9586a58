"""One job as it is shown: a line when it starts, a line when it ends, and its progress meanwhile."""

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from diffdistill.runtime import progress

_ENTRY = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", re.MULTILINE)
"""How an entry of a stage's log begins; lines without it belong to the entry above them."""
_LOUD = ("warning: ", "error: ", "unexpected error")
_PLAIN = ("command: ", "done in ")
LONGEST_RESULT = 80
"""A log's last message of at most so many characters stands in the end line."""
SKEW_SECONDS = 5
"""How much another machine's clock may lag behind."""
LAST_LINES = 10
"""Lines of a failed job's log that are shown where it names no error."""


@dataclass
class Job:
    """A job that runs or waits in a queue."""

    name: str
    outputs: Sequence[str]
    logs: Sequence[str]
    local: bool = True
    started: float = field(default_factory=time.monotonic)
    clock: float = field(default_factory=time.time)
    _read: int = 0
    _before: tuple[int, int] | None = None
    _entries: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "Job":
        """From the fields of Snakemake's JOB_INFO: the rule and its wildcards are the name."""
        name = " ".join([record["rule_name"], *map(str, (record.get("wildcards") or {}).values())])
        return cls(name, record.get("output") or [], record.get("log") or [], bool(record.get("local", True)))

    def __post_init__(self) -> None:
        """Remember the log of an attempt before this one, which stays until this one begins on its node."""
        self._before = _state(self.logs)

    def starts(self) -> str:
        return f"{self.name}: {'started' if self.local else 'submitted'}"

    def ends(self) -> str:
        """How long it took, the files that came out, and the last message of its log."""
        text = f"{self.name}: done in {self.took()}"
        text += f" -> {came_out(self.outputs)}" if self.outputs else ""
        return f"{text}; {self._result()}" if self._result() else text

    def fails(self, message: str, logs: Sequence[str]) -> str:
        """What is known of the failure; the job's own errors are among its `loud` entries."""
        lines = [f"{self.name}: failed after {self.took()}" + (f": {message}" if message else "")]
        if not any(entry.startswith(_LOUD[1:]) for entry in self._entries):
            lines += [f"    {line}" for line in self._last_lines()]
        return "\n".join([*lines, *(f"    log: {log}" for log in logs)])

    def took(self) -> str:
        return str(tqdm.format_interval(time.monotonic() - self.started))

    def loud(self) -> list[str]:
        """Warnings and errors that have come to the log since the last call, in full."""
        return [entry for entry in self._new_entries() if entry.startswith(_LOUD)]

    def progress(self) -> dict[str, Any] | None:
        """What the stage says of its progress; None where it says nothing."""
        for log in self.logs:
            path = progress.beside(Path(log))
            try:
                if path.stat().st_mtime < self.clock - SKEW_SECONDS:  # of an attempt that was killed
                    continue
                state = json.loads(path.read_text())
            except (OSError, ValueError):
                continue
            if isinstance(state, dict) and isinstance(state.get("done"), int | float):
                return state
        return None

    def _new_entries(self) -> list[str]:
        if not self.logs or _state(self.logs) == self._before:
            return []
        try:
            with Path(self.logs[0]).open("rb") as file:
                file.seek(self._read)
                text = file.read()
        except OSError:
            return []
        text = text[: text.rfind(b"\n") + 1]  # a line that is being written waits
        self._read += len(text)
        entries = [entry.strip("\n") for entry in _ENTRY.split(text.decode(errors="replace")) if entry.strip()]
        self._entries += entries
        return entries

    def _result(self) -> str:
        """The last message, which stages use for their result; nothing if it is long or was shown already."""
        told = [entry for entry in self._entries if not entry.startswith(_PLAIN)]
        last = told[-1].splitlines()[0] if told else ""
        return "" if len(last) > LONGEST_RESULT or last.startswith(_LOUD) else last

    def _last_lines(self) -> list[str]:
        told = [entry for entry in self._entries if not entry.startswith(_PLAIN)]
        return "\n".join(told).splitlines()[-LAST_LINES:]


def _state(logs: Sequence[str]) -> tuple[int, int] | None:
    """What differs between a log and the one that takes its place; None where there is none."""
    try:
        stat = Path(logs[0]).stat()
    except (IndexError, OSError):
        return None
    return stat.st_ino, stat.st_mtime_ns


def came_out(outputs: Sequence[str]) -> str:
    """The first output and its size, of a folder that of its files, and how many more there are."""
    try:
        first = Path(outputs[0])
        some = [path for path in first.rglob("*") if path.is_file()] if first.is_dir() else [first]
        size = f" ({_bytes(sum(path.stat().st_size for path in some))})"
    except OSError:
        size = ""
    return f"{outputs[0]}{size}" + (f" and {len(outputs) - 1} more" if len(outputs) > 1 else "")


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"
