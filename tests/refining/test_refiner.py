"""The best set is whole on disk at all times; budget, signal and resume end as they should."""

import gc
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from diffdistill.refining.refiner import Refiner
from diffdistill.refining.state import State
from tests.refining.conftest import Setting


class Clock:
    """A second per look."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


def refiner(
    setting: Setting,
    accuracies: Callable[[int], float],
    kept: list[torch.Tensor],
    saved: list[int],
    stop_signal: Callable[[], int] = lambda: 0,
) -> Refiner:
    asked = list[int]()

    def validate(stored: torch.Tensor) -> float:
        asked.append(len(asked))
        return accuracies(asked[-1])

    return Refiner(
        setting.block, setting.real, setting.parameters, setting.networks, validate, kept.append,
        lambda state: saved.append(state.iteration), due=lambda: True, stop_signal=stop_signal, clock=Clock(),
    )  # fmt: skip


def test_the_best_of_the_validated_sets_is_kept_and_of_equal_ones_the_last() -> None:
    setting, kept, saved = Setting(validate_every=2), list[torch.Tensor](), list[int]()
    state = setting.start()
    one = refiner(setting, [0.5, 0.7, 0.6, 0.7, 0.1].__getitem__, kept, saved)
    assert one.run(state) == 0 and one.ended == "iterations" and state.iteration == 8
    assert [row[:2] for row in state.history] == [(0, 0.5), (2, 0.7), (4, 0.6), (6, 0.7), (8, 0.1)]
    assert len(kept) == 3 and torch.equal(kept[-1], state.best)
    after_six = setting.start()
    setting.run(after_six, until=6)
    assert torch.equal(kept[-1], setting.parameters.stored(after_six.values))
    assert saved[-1] == 8


def test_the_budget_ends_it_and_the_last_set_is_validated() -> None:
    setting, kept, saved = Setting(validate_every=100, iterations=100, budget_seconds=20), [], []
    state = setting.start()
    one = refiner(setting, lambda index: 0.1 * index, kept, saved)
    assert one.run(state) == 0 and one.ended == "budget"
    assert 0 < state.iteration < 20 and state.seconds >= 20
    assert state.history[-1][0] == state.iteration and len(kept) == 2


def test_a_signal_ends_it_without_validation_and_it_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    setting = Setting(validate_every=4, network_iterations=3, network_steps=1, network_batch=8)

    def accuracy(index: int) -> float:
        return (0.1, 0.3, 0.2)[index]

    kept, saved = list[torch.Tensor](), list[int]()
    whole = setting.start()
    refiner(setting, accuracy, kept, saved).run(whole)
    asked = iter([0] * 5 + [15] * 2)
    first = setting.start()
    stopped = refiner(setting, accuracy, kept, saved, lambda: next(asked))
    assert stopped.run(first) == 15 and stopped.ended == "signal" and first.iteration == 5
    first.save(tmp_path / "state.safetensors", {})
    resumed = setting.start()
    resumed.load(tmp_path / "state.safetensors", setting.networks.initial(0, 0, torch.device("cpu")))
    assert refiner(setting, lambda index: 0.2, kept, saved).run(resumed) == 0
    assert torch.equal(resumed.values, whole.values) and torch.equal(resumed.best, whole.best)
    assert [row[:2] for row in resumed.history] == [row[:2] for row in whole.history]


def test_memory_is_flat_in_iterations(tmp_path: Path) -> None:
    setting = Setting(network_iterations=4, network_steps=1, network_batch=8, iterations=32)
    state, sizes, alive = setting.start(), set[int](), list[int]()
    for until in (8, 16, 32):
        setting.run(state, until=until)
        state.save(tmp_path / "state.safetensors", {"": ""})
        sizes.add((tmp_path / "state.safetensors").stat().st_size // 64)
        gc.collect()
        alive.append(sum(type(thing) is torch.Tensor for thing in gc.get_objects()))
    assert len(sizes) == 1 and alive[0] == alive[-1]


@pytest.mark.parametrize("best", [True, False])
def test_a_state_keeps_what_was_best(best: bool, tmp_path: Path) -> None:
    setting = Setting()
    state = setting.start()
    setting.run(state, until=1)
    if best:
        state.best, state.history = torch.full((2, 2, 1, 8, 8), 7, dtype=torch.uint8), [(1.0, 0.5, 2.0)]
    state.save(tmp_path / "state.safetensors", {})
    other = setting.start()
    other.load(tmp_path / "state.safetensors", setting.networks.initial(0, 0, torch.device("cpu")))
    assert other.history == state.history
    assert (other.best is None) if not best else torch.equal(other.best, state.best)
    assert isinstance(other, State)
