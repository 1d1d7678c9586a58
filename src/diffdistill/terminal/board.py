"""Lines and, below them on a terminal, bars: one for the whole run and one for each of a few running jobs."""

import os
import time
from collections.abc import Iterable
from typing import Any, TextIO

from tqdm import tqdm

from diffdistill.terminal.jobs import Job

MOST_BARS = 3
"""Running jobs that have a bar: with more, the terminal would hold little else."""
WHOLE = "{desc} |{bar}| {n_fmt}/{total_fmt} {elapsed}"
MEASURED = "{desc} |{bar}| {n_fmt}/{total_fmt}{unit} {elapsed}<{remaining}"
COUNTED = "{desc} {n_fmt}{unit} {elapsed}"
UNMEASURED = "{desc} {elapsed}"
RED, YELLOW, RESET = "\033[31m", "\033[33m", "\033[0m"


class Board:
    """Writes to one stream; a stream that is no terminal gets the lines alone, without control characters."""

    def __init__(self, stream: TextIO, *, colour: bool = True, bars: bool = True) -> None:
        self.stream = stream
        is_terminal = stream.isatty() and os.environ.get("TERM") != "dumb"
        self.colour = colour and is_terminal and not os.environ.get("NO_COLOR")
        self.bars = bars and is_terminal
        self._whole: Any = None
        self._running: dict[int, Any] = {}

    def line(self, text: str, colour: str = "", *, clock: bool = True) -> None:
        """One message above the bars, after the time of day."""
        text = f"{time.strftime('%H:%M:%S')} {text}" if clock else text
        text = f"{colour}{text}{RESET}" if self.colour and colour else text
        if self.bars:
            tqdm.write(text, file=self.stream)
        else:
            self.stream.write(f"{text}\n")
        self.stream.flush()

    def whole(self, done: int, total: int) -> None:
        """How many of all jobs are done."""
        if self.bars and self._whole is None:
            self._whole = self._bar("all jobs", WHOLE, total)
        if self._whole is not None:
            self._whole.n, self._whole.total = done, total
            self._whole.refresh()

    def running(self, jobs: Iterable[tuple[int, Job]]) -> None:
        """The jobs that run now, by number; those that say how far they are come first."""
        if not self.bars:
            return
        states = [(number, job, job.progress()) for number, job in jobs]
        shown = sorted((one for one in states if one[1].local or one[2]), key=lambda one: (one[2] is None, one[0]))
        shown = shown[:MOST_BARS]
        for number in self._running.keys() - {number for number, _, _ in shown}:
            self._running.pop(number).close()
        for number, job, state in shown:
            bar = self._running.get(number)
            if bar is None:
                bar = self._running[number] = self._bar(job.name, UNMEASURED, None)
                bar.start_t -= time.monotonic() - job.started
            if state is not None:
                bar.n, bar.total, unit = state["done"], state.get("total"), f" {state.get('unit') or ''}".rstrip()
                bar.bar_format = (MEASURED if bar.total else COUNTED).replace(
                    "{unit}", unit.replace("{", "").replace("}", "")
                )
            bar.refresh()
        if self._whole is not None:
            self._whole.refresh()

    def close(self) -> None:
        """Remove the bars."""
        for bar in [*self._running.values(), *([self._whole] if self._whole is not None else [])]:
            bar.close()
        self._running, self._whole = {}, None

    def _bar(self, name: str, layout: str, total: int | None) -> Any:
        return tqdm(desc=name, total=total, bar_format=layout, file=self.stream, leave=False, dynamic_ncols=True)
