"""A training that is stopped, saved or cut into slices equals one that is not, bit for bit; for every network."""

from pathlib import Path

import pytest
import torch

from diffdistill import config
from diffdistill.data.batches import batch_indices
from diffdistill.data.image_files import from_bytes
from diffdistill.diffusion import training
from diffdistill.errors import UserError
from diffdistill.runtime import tensor_files
from diffdistill.runtime.processes import Processes
from tests.diffusion.models import IMAGES, LABELS, MODELS, RECIPE, UVIT, denoiser, fresh


def train(state: training.State, recipe: config.Recipe = RECIPE, *, until: int) -> None:
    training.train(state, IMAGES, LABELS, recipe, until=until, snapshot_every=5)


def tensors(state: training.State, path: Path) -> dict[str, torch.Tensor]:
    state.save(path, {})
    return {name: value for name, value in tensor_files.load(path)[0].items() if name[:4] not in ("hist", "snap")}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("kind", MODELS)
def test_two_slices_equal_one_long_run(tmp_path: Path, kind: str) -> None:
    model = MODELS[kind]
    whole = fresh(model=model)
    train(whole, until=20)
    first = fresh(model=model)
    train(first, until=10)
    first.save(tmp_path / "10.safetensors", {})
    second = fresh(model=model)
    second.load(tmp_path / "10.safetensors", same_slice=False)
    assert second.iteration == 10 and not second.snapshots
    train(second, until=20)
    groups = tensors(whole, tmp_path / "a.safetensors")
    assert {name.split(".")[0] for name in groups} == {"network", "ema", "first_moment", "second_moment"}
    assert equal(groups, tensors(second, tmp_path / "b.safetensors"))
    assert set(second.snapshots) == {"15", "20"}
    assert all(torch.equal(whole.snapshots["20"][name], value) for name, value in second.snapshots["20"].items())


@pytest.mark.parametrize("every", [1, 7])
def test_saving_at_another_rhythm_changes_nothing(tmp_path: Path, every: int) -> None:
    def save(state: training.State) -> None:
        if state.iteration % every == 0:
            state.save(tmp_path / "progress.safetensors", {})

    plain, saved = fresh(), fresh()
    training.train(plain, IMAGES, LABELS, RECIPE, until=20)
    training.train(saved, IMAGES, LABELS, RECIPE, until=20, after_iteration=save)
    assert equal(tensors(plain, tmp_path / "a.safetensors"), tensors(saved, tmp_path / "b.safetensors"))


def test_flipping_is_left_to_right(tmp_path: Path) -> None:
    of_rows = torch.linspace(-1, 1, 30 * 8).reshape(30, 1, 8, 1).expand(-1, -1, -1, 8)  # their own mirror images
    states = []
    for images in (of_rows, of_rows.transpose(2, 3)):
        for flip in (True, False):
            recipe = RECIPE.changed(flip=flip)
            states.append(fresh(recipe))
            training.train(states[-1], images.contiguous(), LABELS, recipe, until=3)
    rows, unflipped_rows, columns, unflipped_columns = (tensors(state, tmp_path / "x") for state in states)
    assert equal(rows, unflipped_rows) and not equal(columns, unflipped_columns)


def test_saved_progress_keeps_snapshots_and_history(tmp_path: Path) -> None:
    state = fresh()
    train(state, until=12)
    state.save(tmp_path / "12.progress.safetensors", {})
    again = fresh()
    again.load(tmp_path / "12.progress.safetensors", same_slice=True)
    assert set(again.snapshots) == {"5", "10"} and [row[0] for row in again.history] == [5, 10]
    assert again.history == state.history


def test_every_epoch_covers_every_image_once_in_an_order_of_its_own() -> None:
    batches = torch.cat([batch_indices(103, 8, iteration, seed=1) for iteration in range(103)])
    epochs = batches.reshape(8, 103)
    assert all(torch.equal(epoch.sort().values, torch.arange(103)) for epoch in epochs)
    assert not torch.equal(epochs[0], epochs[1])
    assert sorted(batch_indices(3, 8, 0, seed=1)[:6].tolist()) == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_processes_and_pieces_take_every_image_of_an_epoch_once(count: int) -> None:
    taken = []
    for iteration in range(103):
        for rank in range(count):
            group = Processes(rank, count)
            drawn = training.Batch.draw(iteration, 103, (1, 8, 8), RECIPE, group.share(8))
            pieces = training.Execution(group, micro_batch_size=2).pieces(8)
            taken += [index for piece in pieces for index in drawn.indices[piece].tolist()]
    assert taken == torch.cat([batch_indices(103, 8, k, RECIPE.seed) for k in range(103)]).tolist()


def test_draws_depend_on_the_row_of_the_batch_and_on_no_process() -> None:
    whole = training.Batch.draw(3, 103, (1, 8, 8), RECIPE, slice(0, 8))
    assert len({tuple(noise.flatten().tolist()) for noise in whole.noise}) == 8 and len(set(whole.t.tolist())) == 8
    parts = [training.Batch.draw(3, 103, (1, 8, 8), RECIPE, Processes(rank, 3).share(8)) for rank in range(3)]
    for name in ("indices", "noise", "t", "mirrored"):
        assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(whole, name))
    assert not torch.equal(training.Batch.draw(4, 103, (1, 8, 8), RECIPE, slice(0, 8)).noise, whole.noise)


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


def test_bytes_train_as_their_floats() -> None:
    images = torch.randint(0, 256, (30, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    one, other = fresh(), fresh()
    training.train(one, images, LABELS, RECIPE, until=3)
    training.train(other, from_bytes(images), LABELS, RECIPE, until=3)
    assert equal(one.emas[0], other.emas[0])


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
    assert state.iteration == 3 and equal(before, state.emas[0])


def test_a_state_of_another_network_is_refused(tmp_path: Path) -> None:
    fresh().save(tmp_path / "0.safetensors", {})
    other = denoiser(UVIT.changed(embed_dim=32))
    with pytest.raises(UserError, match=r"0\.safetensors: not a training state of this network"):
        training.State.start(other, RECIPE).load(tmp_path / "0.safetensors", same_slice=True)


def test_more_emas_are_those_of_runs_of_their_own(tmp_path: Path) -> None:
    several = RECIPE.changed(ema_decays=(0.7, 0.5, 0.6))
    state = fresh(several)
    train(state, several, until=10)
    state.save(tmp_path / "state.safetensors", {})
    state = fresh(several)
    state.load(tmp_path / "state.safetensors", same_slice=True)
    train(state, several, until=20)
    assert set(state.snapshots) == {config.checkpoint_name(step, ema) for step in (5, 10, 15, 20) for ema in range(3)}
    for ending, decay in (("", 0.7), ("-ema1", 0.5), ("-ema2", 0.6)):
        alone = RECIPE.changed(ema_decays=(decay,))
        other = fresh(alone)
        train(other, alone, until=20)
        for step in ("5", "20"):
            assert equal(state.snapshots[f"{step}{ending}"], other.snapshots[step])


def test_snapshots_and_history_are_read_from_the_file(tmp_path: Path) -> None:
    path = str(tmp_path / "10.safetensors")
    state = fresh()
    train(state, until=10)
    state.save(path, {"classes": "[]"})
    weights, metadata = training.read_snapshot(path, "10")
    assert equal(weights, state.snapshots["10"]) and metadata["classes"] == "[]" and "denoiser" in metadata
    assert training.read_history(path)[:, 0].tolist() == [5, 10]
    with pytest.raises(UserError, match="no EMA weights 7 in it"):
        training.read_snapshot(path, "7")


def test_dropped_labels_need_a_null_label() -> None:
    recipe = RECIPE.changed(label_dropout=0.5)
    with pytest.raises(ValueError, match="no null label"):
        training.train(fresh(recipe), IMAGES, LABELS, recipe, until=1)


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
