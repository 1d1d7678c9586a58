"""torch.compile with a fallback: it needs a C++ compiler, which not every machine has."""

import atexit
import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Generic, ParamSpec, TypeVar

from diffdistill.errors import UserError

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

CACHE = "TORCHINDUCTOR_CACHE_DIR"
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


def set_cache() -> None:
    """Give torch's compiler a folder that can be written; to be called before torch is imported.

    Torch makes its cache as soon as an optimiser steps, compiled or not, and ends where it cannot.
    """
    asked = os.environ.get(CACHE)
    folder = Path(asked) if asked else Path(tempfile.gettempdir()) / f"torchinductor_{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        usable = os.access(folder, os.W_OK | os.X_OK) and (bool(asked) or folder.stat().st_uid == os.getuid())
    except OSError:
        usable = False
    if not usable:
        logger.warning("%s: torch's compiler cannot keep its cache there; this job has one of its own", folder)
        folder = Path(tempfile.mkdtemp(prefix="torchinductor_"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ[CACHE] = str(folder)


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
