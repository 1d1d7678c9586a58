"""The protocol's schedule in closed form; a training is a function of its seed."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from diffdistill.classify import training
from diffdistill.config import Protocol
from diffdistill.data import augment
from diffdistill.errors import UserError

CHALLENGE = Protocol(
    epochs=1001, steps=None, batch_size=256, learning_rate=0.01, momentum=0.9, weight_decay=5e-4, schedule="step",
    augment="color_crop_cutout_flip_scale_rotate", augment_mode="one", width=128, depth=3, mean=None, std=None,
)  # fmt: skip
SHORT = CHALLENGE.changed(
    epochs=None, steps=100, batch_size=128, learning_rate=0.05, schedule="onecycle", width=64,
    augment="", augment_mode="each", mean=(0.0,), std=(0.37,),
)  # fmt: skip
VALUES, LABELS = load_digits(return_X_y=True)
IMAGES = torch.from_numpy(np.rint(VALUES.reshape(-1, 1, 8, 8) * 255 / 16).astype(np.uint8))
TARGETS = torch.from_numpy(LABELS.astype(np.int64))


def fit(protocol: Protocol, seed: int, images: torch.Tensor = IMAGES[:1000]) -> training.Classifier:
    return training.fit(
        images, TARGETS[: len(images)], num_classes=10, protocol=protocol, seed=seed, progress="test",
        statistics=training.statistics(protocol, images), device=torch.device("cpu"),
    )  # fmt: skip


def test_the_challenges_rate_falls_after_epoch_index_501() -> None:
    assert training.total_steps(CHALLENGE, 1000) == 1001 * 4  # the last, smaller batch is kept
    assert training.drop_step(CHALLENGE, 1000) == 502 * 4
    rates = [training.learning_rate_at(step, CHALLENGE, 1000) for step in (0, 502 * 4 - 1, 502 * 4, 1001 * 4 - 1)]
    assert rates == pytest.approx([0.01, 0.01, 0.001, 0.001])


def test_one_cycle_rises_and_falls_to_zero() -> None:
    rates = [training.learning_rate_at(step, SHORT, 1000) for step in range(100)]
    assert rates[29] == pytest.approx(0.05) and max(rates) == rates[29]
    assert rates[0] == pytest.approx(0.05 / 30) and rates[-1] == pytest.approx(0, abs=1e-12)


def test_real_digits_are_learnt_and_the_seed_decides_every_bit() -> None:
    one, again, other = fit(SHORT, 0), fit(SHORT, 0), fit(SHORT, 1)
    assert training.accuracy(one, IMAGES[1000:], TARGETS[1000:]) > 0.8
    for name, value in one.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
    assert not torch.equal(one.network.classifier.weight, other.network.classifier.weight)


def test_a_classifier_survives_its_file(tmp_path: Path) -> None:
    classifier = fit(SHORT.changed(steps=2, width=8), 0)
    classifier.to_file(tmp_path / "c.safetensors", [str(label) for label in range(10)])
    again = training.Classifier.from_file(tmp_path / "c.safetensors")
    assert torch.allclose(classifier(IMAGES[:20]), again(IMAGES[:20]), atol=1e-5)


def test_statistics_are_those_of_the_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "AT_ONCE", 7)
    means, spreads = training.statistics(CHALLENGE, IMAGES)
    x = IMAGES.double() / 255
    assert means == pytest.approx([float(x.mean())]) and spreads == pytest.approx([float(x.std(correction=0))])


def test_a_loss_that_is_not_finite_stops() -> None:
    with pytest.raises(UserError, match=r"loss of step .*learning rate"):
        fit(SHORT.changed(learning_rate=1e12, width=8), 0)


def test_only_families_of_the_strategy_are_applied() -> None:
    x = torch.arange(8.0).expand(4, 1, 8, 8)
    draws = torch.Generator().manual_seed(0)
    for _ in range(20):
        assert torch.equal(augment.augment(x, "", draws), x)
        flipped = augment.augment(x, "flip", draws)
        assert all(torch.equal(image, x[0]) or torch.equal(image, x[0].flip(2)) for image in flipped)
    with pytest.raises(ValueError, match="unknown augmentation 'mirror'"):
        augment.augment(x, "mirror", draws)


def test_a_length_in_steps_has_equal_batches_and_one_in_epochs_ends_each_with_the_rest() -> None:
    of_steps = [training.chosen_at(step, SHORT, 257, seed=3) for step in range(257)]
    assert {len(chosen) for chosen in of_steps} == {128}
    assert torch.equal(torch.cat(of_steps).bincount(), torch.full((257,), 128))
    of_epochs = [training.chosen_at(step, CHALLENGE, 257, seed=3) for step in range(4)]
    assert [len(chosen) for chosen in of_epochs] == [256, 1, 256, 1]
    assert sorted(torch.cat(of_epochs[:2]).tolist()) == list(range(257))


def test_only_a_long_training_is_compiled() -> None:
    short = CHALLENGE.changed(epochs=1)
    assert training.operations(short, 256, 32) == 3 * 256 * 2 * 9 * 128 * (3 * 32**2 + 128 * 16**2 + 128 * 8**2)
    assert training.operations(SHORT, 1000, 8) < training.COMPILE_PAYS["cpu"] < training.operations(CHALLENGE, 9999, 32)


def test_sizes_of_many_steps_are_compiled() -> None:
    assert training.compiled_sizes(SHORT, 1000) == {128}
    assert training.compiled_sizes(CHALLENGE, 100) == {100}  # fewer images than a batch holds
    assert training.compiled_sizes(CHALLENGE, 500) == {256, 244}
    assert training.compiled_sizes(CHALLENGE, 512) == {256}
    assert training.compiled_sizes(CHALLENGE, 50_000) == {256}  # one step in 196 is smaller


def test_bfloat16_rounds_and_teaches_as_much() -> None:
    exact, rounded = (fit(SHORT.changed(precision=precision), 0) for precision in ("float32", "bfloat16"))
    assert {value.dtype for value in rounded.state_dict().values()} == {torch.float32}
    assert not torch.equal(exact.network.classifier.weight, rounded.network.classifier.weight)
    accuracies = [training.accuracy(one, IMAGES[1000:], TARGETS[1000:]) for one in (exact, rounded)]
    assert accuracies[1] == pytest.approx(accuracies[0], abs=0.03)


@pytest.mark.slow
def test_a_compiled_training_is_the_same_training() -> None:
    protocol = CHALLENGE.changed(epochs=2, batch_size=100, width=16)  # 50 images are left over in each epoch
    plain, compiled = (
        training.fit(
            IMAGES[:250], TARGETS[:250], num_classes=10, protocol=protocol, seed=0, progress="test", compile=compile,
            statistics=training.statistics(protocol, IMAGES), device=torch.device("cpu"),
        )
        for compile in (False, True)
    )  # fmt: skip
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(compiled.state_dict()[name], value, rtol=1e-3, atol=1e-4)


def test_accuracies_by_class() -> None:
    class Constant(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bias = torch.nn.Parameter(torch.tensor([0.0, 1.0, 0.0, 0.0]))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.bias + torch.nn.functional.one_hot(images[:, 0, 0, 0].long(), 4) * 2

    images = torch.tensor([0, 0, 0, 1, 1, 3], dtype=torch.uint8).reshape(-1, 1, 1, 1)
    labels = torch.tensor([0, 0, 1, 1, 1, 0])  # class 2 and 3 have no image
    found = training.class_accuracies(Constant(), images, labels, 4)  # type: ignore[arg-type]
    assert found == pytest.approx([2 / 3, 2 / 3])
