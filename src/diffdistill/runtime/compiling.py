"""torch.compile with a fallback: it needs a C++ compiler, which not every machine has."""

import logging
from collections.abc import Callable
from typing import Generic, ParamSpec, TypeVar

from diffdistill.errors import UserError

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

OUT_OF_MEMORY = ("out of memory", "can't allocate memory")
"""In the messages of torch's allocators."""


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether an exception, or one that caused it, says that memory ran out."""
    while error is not None:
        if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
            return True
        if isinstance(error, RuntimeError) and any(words in str(error) for words in OUT_OF_MEMORY):
            return True
        error = error.__cause__ or error.__context__
    return False


class Fallback(Generic[P, T]):
    """Calls `fast` until it raises, then `plain` for good: compilation happens at the first call.

    Raises what `plain` would raise too: errors that memory ran out, and errors for the user.
    """

    def __init__(self, fast: Callable[P, T], plain: Callable[P, T]) -> None:
        self._fast, self._plain = fast, plain
        self.failed = False
        """Whether `fast` has raised."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        if not self.failed:
            try:
                return self._fast(*args, **kwargs)
            except UserError:
                raise
            except Exception as error:
                if is_out_of_memory(error):
                    raise
                line = str(error).strip().split("\n")[0] or type(error).__name__
                logger.warning("torch.compile failed, running without it: %s", line)
                self.failed = True
        return self._plain(*args, **kwargs)
