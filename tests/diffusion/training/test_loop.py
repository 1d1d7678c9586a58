"""When the loop stops, at which rate it learns, and that the loss falls."""

from types import SimpleNamespace

import pytest
import torch

from diffdistill import config
from diffdistill.diffusion import training
from diffdistill.diffusion.training import loop
from tests.diffusion.models import IMAGES, LABELS, MODELS, RECIPE, fresh, same


def test_a_signal_stops_after_the_iteration_and_not_at_the_end() -> None:
    state = fresh()
    assert training.train(state, IMAGES, LABELS, RECIPE, until=9, stop_signal=lambda: 10 * (state.iteration == 4)) == 10
    assert state.iteration == 5
    assert training.train(state, IMAGES, LABELS, RECIPE, until=9, stop_signal=lambda: 10 * (state.iteration == 8)) == 0


def test_the_learning_rate_is_a_function_of_the_iteration() -> None:
    rates = [training.learning_rate_at(k, RECIPE) for k in range(20)]
    assert rates[:4] == pytest.approx([0.25e-3, 0.5e-3, 0.75e-3, 1e-3])
    assert rates[4:] == pytest.approx([1e-3 * (1 - (k - 4) / 16) for k in range(4, 20)])
    assert training.learning_rate_at(12, RECIPE.changed(decay="cosine")) == pytest.approx(0.5e-3)
    assert training.learning_rate_at(19, RECIPE.changed(decay="none")) == 1e-3


def test_a_loss_that_is_not_finite_stops_before_weights_are_touched() -> None:
    state = fresh()
    training.train(state, IMAGES, LABELS, RECIPE, until=3)
    before = {name: value.clone() for name, value in state.emas[0].items()}
    broken = IMAGES.clone()
    broken[:] = float("nan")
    with pytest.raises(training.NonFiniteError, match="iteration 3 is nan on rank 0") as caught:
        training.train(state, broken, LABELS, RECIPE, until=4)
    assert (caught.value.iteration, caught.value.rank, caught.value.what) == (3, 0, "loss")
    assert state.iteration == 3 and same(before, state.emas[0])


def test_dropped_labels_need_a_null_label() -> None:
    recipe = RECIPE.changed(label_dropout=0.5)
    with pytest.raises(ValueError, match="no null label"):
        training.train(fresh(recipe), IMAGES, LABELS, recipe, until=1)


def test_speed_after_a_resume_counts_what_was_trained_since(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = RECIPE.changed(iterations=12, log_every=5, warmup_iterations=0)
    state = fresh(recipe)
    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=lambda: float(state.iteration)))
    for until in (3, 9, 12):  # a second per iteration, stopped after 3 and 9
        training.train(state, IMAGES, LABELS, recipe, until=until)
    assert [(row[0], row[-1]) for row in state.history] == [(float(k), recipe.batch_size) for k in (5, 10, 12)]


@pytest.mark.parametrize("prediction", ["noise", "x0", "v"])
@pytest.mark.parametrize("kind", MODELS)
def test_the_loss_falls(kind: str, prediction: config.Prediction) -> None:
    recipe = RECIPE.changed(iterations=40, learning_rate=3e-3, decay="none", log_every=1, flip=False)
    model = MODELS[kind].changed(prediction=prediction)
    state = fresh(recipe, model)
    constant = torch.full_like(IMAGES, 0.5)
    training.train(state, constant, LABELS, recipe, until=40)
    losses = [row[1] for row in state.history]
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])
