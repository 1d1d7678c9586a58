"""torch.compile for those who can go on without it: it needs a C++ compiler, which not every machine has."""

import logging
from collections.abc import Callable
from typing import ParamSpec, TypeVar

logger = logging.getLogger("diffdistill")

P = ParamSpec("P")
T = TypeVar("T")


def with_fallback(fast: Callable[P, T], plain: Callable[P, T]) -> Callable[P, T]:
    """`fast` until it raises, then `plain` for good: compiling happens at the first call, and raises what it likes."""
    failed = False

    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        nonlocal failed
        if not failed:
            try:
                return fast(*args, **kwargs)
            except Exception as error:
                logger.warning("torch.compile failed, going on without it: %s", str(error).strip().split("\n")[0])
                failed = True
        return plain(*args, **kwargs)

    return call
