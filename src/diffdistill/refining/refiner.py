"""Refining within a budget: the set that taught best on validation so far is always whole on disk."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from diffdistill.config.refine import Refine
from diffdistill.refining import matching
from diffdistill.refining.matching import Networks, Real
from diffdistill.refining.parameters import Parametrisation
from diffdistill.refining.state import State

Ended = Literal["iterations", "budget", "signal"]


@dataclass
class Refiner:
    """One run of refining.

    validate: accuracy 0..1 that stored images uint8 (K, n, C, H, W) teach, on validation. keep: write the best set; it
    is called before `save` writes a state that counts it as written. due: whether it is time to save, asked after every
    iteration.
    """

    block: Refine
    real: Real
    parameters: Parametrisation
    networks: Networks
    validate: Callable[[Tensor], float]
    keep: Callable[[Tensor], None]
    save: Callable[[State], None]
    due: Callable[[], bool] = lambda: False
    stop_signal: Callable[[], int] = lambda: 0
    clock: Callable[[], float] = time.monotonic
    ended: Ended = "iterations"
    """Why `run` ended."""

    def run(self, state: State) -> int:
        """Refine in place until the iterations or the budget are spent, or a signal came; that signal, or 0.

        A start is validated too, so that the result teaches validation no worse than the start.
        """
        self._since = self.clock()
        if not state.history:
            self._validate(state)
        code = matching.run(
            state, self.real, self.parameters, self.block, self.networks, until=self.block.iterations,
            stop_signal=lambda: self.stop_signal() or (-1 if self._spent(state) else 0),
            after_iteration=lambda state, loss: self._after(state),
        )  # fmt: skip
        if code <= 0 and state.history[-1][0] != state.iteration:
            self._validate(state)
        self._book(state)
        self.save(state)
        self.ended = "signal" if code > 0 else "budget" if code < 0 else "iterations"
        return max(0, code)

    def _book(self, state: State) -> None:
        now = self.clock()
        state.seconds += now - self._since
        self._since = now

    def _spent(self, state: State) -> bool:
        self._book(state)
        return self.block.budget_seconds is not None and state.seconds >= self.block.budget_seconds

    def _after(self, state: State) -> None:
        if state.iteration % self.block.validate_every == 0:
            self._validate(state)
        if self.due():
            self._book(state)
            self.save(state)

    def _validate(self, state: State) -> None:
        """The later of two equally good sets is kept: it was matched for longer."""
        stored = self.parameters.stored(state.values).cpu()
        accuracy = self.validate(stored)
        if not state.history or accuracy >= max(row[1] for row in state.history):
            state.best = stored
            self.keep(stored)
        self._book(state)
        state.history.append((float(state.iteration), accuracy, state.seconds))
