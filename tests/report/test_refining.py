"""What readers are told of a refined set is what its account says."""

import pytest

from diffdistill.report import refining
from tests.report.conftest import REFINED


@pytest.mark.parametrize(
    ("start", "said"),
    [("real", "real images of the train split"), ("generated", "generated images"), ("noise", "images of noise")],
)
def test_the_start_is_named_and_only_real_images_are_derived_from_real_ones(start: str, said: str) -> None:
    text = " ".join(refining.sentences(REFINED | {"start": start}))
    assert f"Refining began with {said} and changed them by distribution matching." in text
    assert ("derived from real images" in text) == (start == "real")


@pytest.mark.parametrize(
    ("ended", "said"), [("budget", "the budget was spent"), ("iterations", "all iterations were done")]
)
def test_why_it_ended_and_which_set_it_is(ended: str, said: str) -> None:
    text = " ".join(refining.sentences(REFINED | {"ended_by": ended}))
    assert f"they ended because {said}." in text and "iteration 200, the best on validation: 0.7500" in text


def test_a_row_per_validation() -> None:
    found = refining.validations(REFINED)
    assert found["iteration"].tolist() == [0, 200, 300] and found["validation_accuracy"].tolist() == [0.5, 0.75, 0.7]
