"""If compilation fails, the plain way is taken; other errors are raised."""

import logging
import os
import tempfile
from pathlib import Path

import pytest
import torch

from diffdistill.errors import UserError
from diffdistill.runtime import compiling
from diffdistill.runtime.compiling import Fallback, is_out_of_memory


def test_the_first_failure_is_logged_and_the_plain_way_taken_from_then_on(caplog: pytest.LogCaptureFixture) -> None:
    calls = []

    def fast(x: int) -> int:
        calls.append(x)
        if x == 2:
            raise RuntimeError("no compiler\nat all")
        return -x

    call = Fallback(fast, lambda x: 10 * x)
    with caplog.at_level(logging.WARNING, "diffdistill"):
        assert call(1) == -1 and not call.failed
        assert [call(2), call(3)] == [20, 30] and call.failed
    assert calls == [1, 2]
    assert caplog.messages == ["torch.compile failed, running without it: no compiler"]


OUT_OF_MEMORY: list[Exception] = [
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 400000000000 bytes"),
]


@pytest.mark.parametrize("error", [*OUT_OF_MEMORY, UserError("an image holds NaN")])
def test_errors_that_the_plain_way_has_too_are_raised(error: Exception) -> None:
    def fast(x: int) -> int:
        raise error

    call = Fallback(fast, lambda x: x)
    with pytest.raises(type(error)):
        call(1)
    assert not call.failed


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_memory_that_ran_out_inside_of_a_compiled_call(error: Exception) -> None:
    wrapped = RuntimeError("backend failed")
    wrapped.__cause__ = error
    assert (
        is_out_of_memory(wrapped) and not is_out_of_memory(RuntimeError("no compiler")) and not is_out_of_memory(None)
    )


@pytest.mark.parametrize("asked", [True, False])
def test_a_cache_that_cannot_be_made_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, asked: bool
) -> None:
    logging.getLogger("diffdistill").propagate = True
    taken = tmp_path / (f"torchinductor_{os.getuid()}" if not asked else "taken")
    taken.write_text("a file where a folder should be")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv(compiling.CACHE, str(taken))
    if not asked:
        monkeypatch.delenv(compiling.CACHE)
    compiling.set_cache()
    assert Path(os.environ[compiling.CACHE]).is_dir() and taken.is_file()
    said = [record.getMessage() for record in caplog.records]
    assert set(said) == {f"{taken}: torch's compiler cannot keep its cache there; this job has one of its own"}
    compiling.set_cache()  # the new one can be written: nothing more is said
    assert len(caplog.records) == len(said)
