"""How a batch is divided."""

import pytest

from diffdistill.diffusion import training
from diffdistill.runtime.processes import Processes


@pytest.mark.parametrize(
    ("count", "micro", "batch", "said"),
    [
        (4, 128, 1024, "batch 1024 = 4 devices x 128 x 2, float32"),
        (3, None, 1024, "batch 1024 = 3 devices x at most 342 x 1, float32"),
        (1, 3, 8, "batch 8 = 1 device x at most 3 x 3, float32"),
        (1, 100, 8, "batch 8 = 1 device x 8 x 1, float32"),
    ],
)
def test_the_log_says_how_the_batch_is_divided(count: int, micro: int | None, batch: int, said: str) -> None:
    executions = [training.Execution(Processes(rank, count), micro) for rank in range(count)]
    assert {execution.describe(batch) for execution in executions} == {said}
    sizes = [piece.stop - piece.start for execution in executions for piece in execution.pieces(batch)]
    assert sum(sizes) == batch and max(sizes) <= (micro or batch)
