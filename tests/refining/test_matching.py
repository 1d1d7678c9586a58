"""What an iteration does: the same transform on both sides, progress, bytes that resuming does not change."""

from pathlib import Path

import pytest
import torch

from diffdistill.errors import UserError
from diffdistill.refining import matching, sets
from diffdistill.refining.parameters import Latent, Pixels
from diffdistill.refining.state import State
from diffdistill.runtime.seeds import generator
from tests.refining.conftest import Setting

KINDS = {
    "random networks": {},
    "trained networks": {"network_iterations": 3, "network_steps": 2, "network_batch": 8},
    "gradients": {"method": "gradient_matching", "network_iterations": 3, "network_steps": 1, "network_batch": 8},
    "grids": {"factor": 2},
}


def test_both_sides_get_one_transform_which_differs_between_classes_and_iterations() -> None:
    block = Setting(augment_mode="each").block
    x = torch.rand(8, 8, generator=generator("siamese"))
    few, many = (matching.siamese(x.expand(2, count, 1, 8, 8), block, 5, (0, 1)) for count in (2, 7))
    for label in (0, 1):
        assert all(torch.equal(one, few[label, 0]) for one in (*few[label], *many[label]))
    assert not torch.equal(few[0], few[1])
    assert not torch.equal(few, matching.siamese(x.expand(2, 2, 1, 8, 8), block, 6, (0, 1)))


def test_real_batches_are_of_their_class_without_repeats_while_images_last() -> None:
    members = [torch.arange(0, 10), torch.arange(10, 13)]
    batch = matching.real_batch(members, 5, iteration=2, seed=0)
    assert len(set(batch[0].tolist())) == 5 and batch[0].max() < 10
    assert sorted(set(batch[1].tolist())) == [10, 11, 12]
    assert torch.equal(batch, matching.real_batch(members, 5, iteration=2, seed=0))
    assert not torch.equal(batch, matching.real_batch(members, 5, iteration=3, seed=0))


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_falls_from_noise_and_pixels_stay_in_range(kind: str) -> None:
    setting = Setting(**{**KINDS[kind], "iterations": 40, "learning_rate": 0.05})
    noise = sets.pixels_from_noise(sets.from_noise(2, 2, (1, 8, 8), seed=0))
    state = State.start(noise, setting.block.learning_rate, setting.block.betas)
    losses = setting.run(state, until=40)
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])
    assert state.values.min() >= 0 and state.values.max() <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_resumed_run_has_the_bits_of_one_that_was_never_stopped(kind: str, tmp_path: Path) -> None:
    setting = Setting(**KINDS[kind])
    whole = setting.start()
    losses = setting.run(whole, until=8)
    first, resumed = setting.start(), setting.start()
    early = setting.run(first, until=4)
    first.save(tmp_path / "state.safetensors", {"settings": "these"})
    network = setting.networks.initial(99, 0, torch.device("cpu"))
    assert resumed.load(tmp_path / "state.safetensors", network)["settings"] == "these"
    assert early + setting.run(resumed, until=8) == losses
    assert torch.equal(resumed.values, whole.values)
    whole.save(tmp_path / "whole.safetensors", {})
    resumed.save(tmp_path / "resumed.safetensors", {})
    assert (tmp_path / "whole.safetensors").read_bytes() == (tmp_path / "resumed.safetensors").read_bytes()


@pytest.mark.parametrize(("decay", "expected"), [("none", [1, 1, 1, 1]), ("linear", [1, 0.75, 0.5, 0.25])])
def test_the_rate_of_each_iteration(decay: str, expected: list[float]) -> None:
    setting, found = Setting(decay=decay, iterations=4, learning_rate=0.02), []
    state = setting.start()
    for iteration in range(4):
        setting.run(state, until=iteration + 1)
        found.append(state.optimiser.param_groups[0]["lr"] / 0.02)
    assert found == pytest.approx(expected)


def test_seeds_decide_the_set() -> None:
    ends = []
    for seed in (3, 3, 4):
        setting = Setting(seed=seed)
        state = State.start(torch.full((2, 2, 1, 8, 8), 0.5), 0.01, (0.5, 0.99))
        setting.run(state, until=2)
        ends.append(state.values)
    assert torch.equal(ends[0], ends[1]) and not torch.equal(ends[0], ends[2])


def test_pieces_of_classes_change_no_more_than_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = []
    for at_once in (2048, 8):
        monkeypatch.setattr(matching, "IMAGES_AT_ONCE", at_once)
        setting = Setting()
        state = setting.start()
        ends.append((setting.run(state, until=1), state.values.detach()))
    assert ends[0][0] == pytest.approx(ends[1][0], rel=1e-5)
    torch.testing.assert_close(ends[0][1], ends[1][1], atol=1e-4, rtol=0)


def test_a_loss_that_is_not_finite_changes_nothing() -> None:
    setting = Setting()
    state = setting.start()
    setting.real = matching.Real.of(setting.real.images, setting.real.labels, 2, ([0.4], [1e-45]))
    before = state.values.detach().clone()
    with pytest.raises(UserError, match="loss of iteration 0 is"):
        setting.run(state, until=1)
    assert torch.equal(state.values, before)


def test_a_class_without_real_images_and_a_foreign_state_are_refused(tmp_path: Path) -> None:
    setting = Setting()
    with pytest.raises(UserError, match="class 2 has no real images"):
        matching.Real.of(setting.real.images, setting.real.labels, 3, ([0.0], [1.0])).members()
    setting.start().save(tmp_path / "state.safetensors", {})
    other = Setting(images_per_class=3).start()
    network = setting.networks.initial(0, 0, torch.device("cpu"))
    with pytest.raises(UserError, match="not a state of refining this set"):
        other.load(tmp_path / "state.safetensors", network)


def test_a_latent_start_is_refined_through_the_generator() -> None:
    """A generator that paints the class's half as bright as the noise's mean says."""

    def decode(noise: torch.Tensor, labels: torch.Tensor, first: int) -> torch.Tensor:
        brightness = noise.mean((1, 2, 3), keepdim=True).tanh()
        mask = torch.stack([(torch.arange(8) // 4 == label).float() for label in labels.tolist()])
        return (brightness * mask[:, None, None, :]).expand(-1, 1, 8, 8)

    setting = Setting(parametrisation="latent", learning_rate=0.05, iterations=40)
    setting.parameters = Latent(decode)
    state = State.start(sets.from_noise(2, 2, (1, 8, 8), seed=0), 0.05, (0.5, 0.99))
    before = setting.parameters.stored(state.values)
    losses = setting.run(state, until=40)
    stored = setting.parameters.stored(state.values)
    assert stored.shape == (2, 2, 1, 8, 8) and stored.dtype == torch.uint8
    assert sum(losses[-10:]) < sum(losses[:10]) and not torch.equal(stored, before)
    assert (stored[0, :, :, :, 4:] == stored[0, 0, 0, 0, 7]).all()  # what the generator cannot paint stays as it is
    assert not isinstance(setting.parameters, Pixels)
