"""What fails in compiling is done without it."""

import logging

import pytest

from diffdistill.runtime.compiling import with_fallback


def test_the_first_failure_is_said_and_the_plain_way_taken_from_then_on(caplog: pytest.LogCaptureFixture) -> None:
    calls = []

    def fast(x: int) -> int:
        calls.append(x)
        if x == 2:
            raise RuntimeError("no compiler\nat all")
        return -x

    call = with_fallback(fast, lambda x: 10 * x)
    with caplog.at_level(logging.WARNING, "diffdistill"):
        assert [call(1), call(2), call(3)] == [-1, 20, 30]
    assert calls == [1, 2]
    assert caplog.messages == ["torch.compile failed, going on without it: no compiler"]
