"""What goes wrong for people who do this job, and the test that shows what happens here instead.

Each test carries @fault(kind, what goes wrong, what happens now); `python -m tests.faults` makes
docs/faults.md of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

Test = TypeVar("Test", bound=Callable[..., Any])


@dataclass(frozen=True)
class Fault:
    kind: str
    """One of catalogue.TITLES, such as F01."""
    what: str
    now: str


def fault(kind: str, what: str, now: str) -> Callable[[Test], Test]:
    """Mark a test as the proof of one row of docs/faults.md."""

    def mark(test: Test) -> Test:
        test.__dict__.setdefault("faults", []).append(Fault(kind, what, now))
        return test

    return mark
