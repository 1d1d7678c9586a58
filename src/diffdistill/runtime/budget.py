"""A wall-clock budget: how many more images fit, and where the seconds went."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

SAFETY = 1.3
"""A batch is started only if it fits with this factor on its expected seconds: others may use the machine too."""


class Budget:
    """The clock starts when the object is made; every second belongs to one phase."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """seconds: infinite for no limit."""
        self.seconds = seconds
        self._clock = clock
        self._started = clock()
        self.phases: dict[str, float] = {}

    @property
    def used(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._started

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Book the block's seconds under `name`."""
        started = self._clock()
        try:
            yield
        finally:
            self.book(name, self._clock() - started)

    def book(self, name: str, seconds: float) -> None:
        """Add seconds to a phase."""
        self.phases[name] = self.phases.get(name, 0.0) + seconds

    def account(self, until: float | None = None, without: Sequence[str] = ()) -> dict[str, float]:
        """Seconds by phase, which add up to `until`, to the millisecond; the rest, which no phase claimed, is `other`.

        until: seconds since the start, None for now; without: phases that are left out, because they lie after it.
        What phases claim beyond `until` is taken from the last of them.
        """
        end = round((self.used if until is None else until) * 1000)
        total = {name: round(seconds * 1000) for name, seconds in self.phases.items() if name not in without}
        excess = sum(total.values()) - end
        for name in reversed(total):
            taken = max(0, min(excess, total[name]))
            total[name] -= taken
            excess -= taken
        total["other"] = end - sum(total.values())
        return {name: milliseconds / 1000 for name, milliseconds in total.items()}

    def fitting(self, wanted: int, seconds_per_image: float, least_seconds: float, reserve_seconds: float) -> int:
        """How many images of the next batch fit: `wanted`, fewer at the end, 0 when it is time to stop.

        least_seconds: what even the smallest batch takes; reserve_seconds: what is still to be done after the last one.
        """
        left = (self.seconds - self.used - reserve_seconds) / SAFETY
        return max(0, min(wanted, int(left / seconds_per_image))) if left >= least_seconds else 0


class BatchSize:
    """Doubles from 2 up to a limit, then stays at the size that took least per image.

    Doubling finds what an image costs without ever risking more than was seen to fit.
    """

    def __init__(self, limit: int) -> None:
        self._limit, self._costs = limit, dict[int, float]()

    def next(self) -> int:
        """How many images to sample at once."""
        largest = max(self._costs, default=1)
        if largest < self._limit:
            return min(2 * largest, self._limit)
        return min(self._costs, key=lambda size: self._costs[size], default=self._limit)

    def took(self, size: int, seconds: float) -> None:
        """What a batch took; the least counts, because a machine may be held up."""
        self._costs[size] = min(seconds / size, self._costs.get(size, float("inf")))
