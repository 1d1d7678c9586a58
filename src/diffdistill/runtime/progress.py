"""Progress of a running stage: a bar on a terminal, or a small file that the workflow's own bar reads.

A stage that runs inside a workflow does not own the terminal. The workflow's logger sets `VARIABLE` in the
environment; the stage then keeps its messages to its log file, and its bars write their state beside that log.
"""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from tqdm import tqdm

VARIABLE = "DIFFDISTILL_TERMINAL"
"""Set to `workflow` where another process draws on the terminal."""
INTERVAL_SECONDS = 1.0
"""How often the file is written at most."""

_file: Path | None = None


def is_hidden() -> bool:
    """Whether another process draws on the terminal, so that this one must not."""
    return os.environ.get(VARIABLE) == "workflow"


def beside(log: Path | str) -> Path:
    """The file with the progress of the job that writes this log."""
    return Path(log).with_suffix(".progress")


def write_to(path: Path | None) -> None:
    """Write every later bar's state to this file; None: draw bars."""
    global _file
    _file = path


class Bar(tqdm):  # type: ignore[type-arg]
    """tqdm's bar, which goes to the file of `write_to` if there is one.

    Its file holds {"description", "done", "total" or null, "unit"}; it is removed when the bar is closed.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.path = None if options.get("disable") is True else _file
        if self.path is not None:
            options |= {"disable": False, "file": _Nowhere(), "mininterval": INTERVAL_SECONDS}
        super().__init__(*arguments, **options)

    def display(self, msg: str | None = None, pos: int | None = None) -> Any:
        """Draw, or write the file."""
        if self.path is None:
            return super().display(msg, pos)
        state = {"description": self.desc, "done": self.n, "total": self.total, "unit": self.unit}
        with suppress(OSError):  # the work goes on without being shown
            half = self.path.with_name(self.path.name + ".new")
            half.write_text(json.dumps(state))
            half.replace(self.path)
        return True

    def close(self) -> None:
        """Remove the bar or its file."""
        super().close()
        if self.path is not None:
            with suppress(OSError):
                self.path.unlink(missing_ok=True)


class _Nowhere:
    """Where tqdm writes what nobody shall see."""

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        pass
