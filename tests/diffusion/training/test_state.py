"""A state that is saved and loaded goes on as if it had not been, bit for bit; for every network."""

from pathlib import Path

import pytest
import torch

from diffdistill import config
from diffdistill.diffusion import training
from diffdistill.errors import UserError
from diffdistill.runtime import tensor_files
from tests.diffusion.models import IMAGES, LABELS, MODELS, RECIPE, UVIT, denoiser, fresh, same, train


def tensors(state: training.State, path: Path) -> dict[str, torch.Tensor]:
    state.save(path, {})
    return {name: value for name, value in tensor_files.load(path)[0].items() if name[:4] not in ("hist", "snap")}


@pytest.mark.parametrize(("kind", "optimiser"), [*((kind, "adamw") for kind in MODELS), ("uvit", "muon")])
def test_two_slices_equal_one_long_run(tmp_path: Path, kind: str, optimiser: str) -> None:
    model, recipe = MODELS[kind], RECIPE.changed(optimiser=optimiser)
    whole = fresh(recipe, model)
    train(whole, recipe, until=20)
    first = fresh(recipe, model)
    train(first, recipe, until=10)
    first.save(tmp_path / "10.safetensors", {})
    second = fresh(recipe, model)
    second.load(tmp_path / "10.safetensors", same_slice=False)
    assert second.iteration == 10 and not second.snapshots
    train(second, recipe, until=20)
    groups = tensors(whole, tmp_path / "a.safetensors")
    assert {name.split(".")[0] for name in groups} == {"network", "ema", "first_moment", "second_moment"}
    assert same(groups, tensors(second, tmp_path / "b.safetensors"))
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
    assert same(tensors(plain, tmp_path / "a.safetensors"), tensors(saved, tmp_path / "b.safetensors"))


def test_saved_progress_keeps_snapshots_and_history(tmp_path: Path) -> None:
    state = fresh()
    train(state, until=12)
    state.save(tmp_path / "12.progress.safetensors", {})
    again = fresh()
    again.load(tmp_path / "12.progress.safetensors", same_slice=True)
    assert set(again.snapshots) == {"5", "10"} and [row[0] for row in again.history] == [5, 10]
    assert again.history == state.history


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
            assert same(state.snapshots[f"{step}{ending}"], other.snapshots[step])
