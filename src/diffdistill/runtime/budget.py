"""A wall-clock budget: how many more images fit, and where the seconds went."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SAFETY = 1.3
"""A batch is started only if it fits with this factor on its expected seconds: others may use the machine too."""


class Budget:
    """The clock starts when the object is made; every second belongs to one phase."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
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
            self.phases[name] = self.phases.get(name, 0.0) + self._clock() - started

    def account(self) -> dict[str, float]:
        """Seconds by phase; what no phase claimed is `other`, so that they add up to the seconds used."""
        total = {**self.phases, "other": max(0.0, self.used - sum(self.phases.values()))}
        return {name: round(value, 3) for name, value in total.items()}

    def fitting(self, wanted: int, seconds_per_image: float, least_seconds: float, reserve_seconds: float) -> int:
        """How many images of the next batch fit: `wanted`, fewer at the end, 0 when it is time to stop.

        least_seconds: what even the smallest batch takes; reserve_seconds: what is still to be done after the last one.
        """
        left = (self.seconds - self.used - reserve_seconds) / SAFETY
        return max(0, min(wanted, int(left / seconds_per_image))) if left >= least_seconds else 0


class BatchSize:
    """Doubles from 2 up to a limit, then stays at the size that took least an image.

    Doubling finds what an image costs without ever risking more than was seen to fit.
    """

    def __init__(self, limit: int) -> None:
        self._limit, self._costs = limit, dict[int, float]()

    def next(self) -> int:
        """How many images to draw at once."""
        largest = max(self._costs, default=1)
        if largest < self._limit:
            return min(2 * largest, self._limit)
        return min(self._costs, key=lambda size: self._costs[size], default=self._limit)

    def took(self, size: int, seconds: float) -> None:
        """What a batch took; the least counts, for a machine may be held up."""
        self._costs[size] = min(seconds / size, self._costs.get(size, float("inf")))
