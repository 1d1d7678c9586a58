"""What a study plans; what a whole experiment plans is in test_load.py."""

import pytest

from diffdistill import config
from diffdistill.config.study import TRAIN_SETS

EPOCHS, STEPS = config.Protocol(epochs=101), config.Protocol(steps=10)


def test_the_main_evaluation_is_not_planned_again() -> None:
    study = config.Study(epochs=(101, 1001), architectures=("convnet", "vit_tiny"))
    assert set(study.runs(EPOCHS)) == {f"{name}-{kind}" for name in ("epochs-1001", "vit_tiny") for kind in TRAIN_SETS}


def test_random_samples_are_compared_if_the_set_is_a_selection() -> None:
    study = config.Study(images_per_class=(5,))
    assert "size-5-random-samples" not in study.runs(EPOCHS)
    assert "size-5-random-samples" in study.runs(EPOCHS, ("random-samples", "all-samples"))


@pytest.mark.parametrize(
    ("study", "protocol", "epochs"),
    [({}, EPOCHS, 101), ({}, STEPS, None), ({"epochs": (7, 9)}, STEPS, 7)],
)
def test_equal_steps_count_epochs(study: dict[str, tuple[int, ...]], protocol: config.Protocol, epochs: int) -> None:
    assert config.Study.model_validate(study).epochs_in_steps(protocol) == epochs


def test_only_lengths_and_architectures_repeat_the_full_real_run() -> None:
    runs = config.Study(epochs=(3,), soft_labels=True).runs(STEPS)
    assert runs["epochs-3-real-random"].full_real_run == "epochs-3-real"
    assert runs["soft-real-random"].full_real_run is None and runs["epochs-3-distilled"].full_real_run is None
