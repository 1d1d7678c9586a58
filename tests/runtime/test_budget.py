"""The clock never lets a batch start that would not fit, and accounts for every second."""

from diffdistill.runtime.budget import BatchSize, Budget


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_simulated_run_stays_within_the_budget_and_uses_it() -> None:
    clock = Clock()
    budget = Budget(20.0, clock)
    with budget.phase("load"):
        clock.now += 2.0
    per_image, least, batch, drawn = 0.05, 0.05, 1, 0
    while True:
        batch = min(2 * batch, 64)
        count = budget.fitting(batch, per_image, least, 0.1)
        if not count:
            break
        with budget.phase("draw"):
            clock.now += 0.01 + 0.01 * count
        per_image, least, drawn = (0.01 + 0.01 * count) / count, min(least, 0.01 + 0.01 * count), drawn + count
    assert drawn > 1500
    assert 0.97 * 20 <= budget.used <= 20.0


def test_the_account_adds_up() -> None:
    clock = Clock()
    budget = Budget(10.0, clock)
    with budget.phase("load"):
        clock.now += 1.0
    clock.now += 0.5
    with budget.phase("load"):
        clock.now += 0.25
    assert budget.account() == {"load": 1.25, "other": 0.5}


def test_nothing_fits_when_even_the_smallest_batch_is_too_long() -> None:
    clock = Clock()
    budget = Budget(10.0, clock)
    clock.now += 9.0
    assert budget.fitting(64, 0.001, 2.0, 0.0) == 0


def test_batches_double_and_then_keep_to_the_cheapest_size() -> None:
    sizes, costs = BatchSize(20), {2: 9.0, 4: 6.0, 8: 4.0, 16: 5.0, 20: 5.0}
    seen = []
    for _ in range(7):
        seen.append(sizes.next())
        sizes.took(seen[-1], costs[seen[-1]] * seen[-1])
    assert seen == [2, 4, 8, 16, 20, 8, 8]
    assert BatchSize(1).next() == 1


def test_the_account_adds_up_to_an_earlier_end() -> None:
    """What came too late is left out, and a phase that ran on is cut."""
    clock = Clock()
    budget = Budget(10.0, clock)
    for name, seconds in (("load", 1.0), ("sample", 6.0), ("late", 15.0), ("write", 3.0)):
        with budget.phase(name):
            clock.now += seconds
    assert budget.account(until=8.5, without=("late",)) == {"load": 1.0, "sample": 6.0, "write": 1.5, "other": 0.0}
    assert budget.account(until=6.0, without=("late",)) == {"load": 1.0, "sample": 5.0, "write": 0.0, "other": 0.0}
