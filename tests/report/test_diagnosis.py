import re
from typing import Any

import pandas as pd
import pytest

from diffdistill.report import diagnosis
from diffdistill.report.results import Results

HEALTHY: dict[str, Any] = {
    "generated": 0.98, "random": 0.99, "real": 0.99, "images": 5000, "last": 1.0, "agreement": 0.99, "recall": 0.9,
    "draw": 9.0, "flagged": [], "noticed": [],
}  # fmt: skip


def said(**changes: Any) -> dict[str, str]:
    """The answers on an experiment with 1,000 real images that is healthy but for the changes."""
    case = {**HEALTHY, **changes}

    def runs(**accuracies: float) -> pd.DataFrame:
        images = {"distilled": case["images"], "real-random": min(1000, case["images"]), "real": 1000}
        images |= {"drawn": 9000, "drawn-random": case["images"]}
        rows = [
            {"train_set": kind.replace("_", "-"), "accuracy": value, "seed": seed}
            for kind, value in accuracies.items()
            for seed in range(3)
        ]
        return pd.DataFrame([{**row, "images": images[row["train_set"]], "dataset": "x"} for row in rows])

    fid = pd.DataFrame({"step": [1, 2, 3], "fid": [3.0, 1.0, case["last"]], "recall": case["recall"]})
    fid = fid.assign(label_agreement=case["agreement"], label_agreement_validation=0.995)
    account = {"seconds": {"load": 1.0, "draw": case["draw"]}, "budget_seconds": 10.0}
    results = Results(
        {}, {"x": runs(distilled=case["generated"])},
        {"x": runs(real_random=case["random"], real=case["real"], **case.get("drawn", {}))},
        {"x": fid}, {}, {"x": account},
    )  # fmt: skip
    audit = {
        "nearest": {"pixels": {"share_in_train": {"value": 0.55, "low": 0.5, "high": 0.6}}},
        "equal_to_a_train_image": 2, "images": {"generated": 5000},
        "flagged": bool(case["flagged"]), "reasons": case["flagged"], "noticed": case["noticed"],
    }  # fmt: skip
    return {answer.question: " ".join(answer.sentences) for answer in diagnosis.answers(results, "x", audit)}


def test_a_healthy_set_is_told_so() -> None:
    answers = said()
    assert "reach 0.9800 ± 0.0000 on real test images, 99.0% of what all real images give" in answers["How good is it?"]
    assert answers["What limits it?"] == "Nothing that was measured stands out."
    assert "55% (50% to 60%)" in answers["Is it private?"] and "no proof of privacy" in answers["Is it private?"]


@pytest.mark.parametrize(
    ("change", "limit", "remedy"),
    [
        ({"agreement": 0.9}, "Labels: .* agrees with 90.0%", "select.label_noise: relabel"),
        ({"recall": 0.3}, "Variety: 30%", "choose by pilot"),
        ({"last": 0.5}, "Training: the last FID, 0.5", "Raise train.iterations"),
        ({"images": 500, "generated": 0.97, "random": 0.97}, "Number: .* 500 against 1,000", "sample.budget_seconds"),
        ({"draw": 1.0}, "Budget: 50% of the seconds", "longer sample.budget_seconds"),
    ],
)
def test_each_limit_is_named_alone_with_its_remedy(change: dict[str, Any], limit: str, remedy: str) -> None:
    answers = said(**change)
    found = answers["What limits it?"]
    assert re.search(limit, found) and remedy in answers["What to change?"]
    assert sum(word in found for word in ("Labels:", "Variety:", "Training:", "Number:", "Budget:")) == 1


def test_fewer_images_than_real_ones_are_compared_with_as_many() -> None:
    assert "That is 0.0100 less than 500 real images at random" in said(images=500)["How good is it?"]


def test_a_selection_is_compared_with_what_it_was_selected_from() -> None:
    assert "selection" not in said()["How good is it?"]
    found = said(drawn={"drawn": 0.99, "drawn_random": 0.9})["How good is it?"]
    assert "as many of the drawn images, not selected, 0.9000 ± 0.0000; all 9,000 that were drawn reach 0.99" in found
    assert "It is a selection: all 9,000 that" in said(drawn={"drawn": 0.99})["How good is it?"]


def test_a_flagged_set_is_not_called_private() -> None:
    answers = said(flagged=["by pixels, 0.90 of the nearest lie in train"])
    assert "Flagged as memorised: by pixels, 0.90" in answers["Is it private?"]
    assert "no proof" not in answers["Is it private?"]


def test_measures_that_were_not_taken_limit_nothing() -> None:
    assert said(agreement=None, recall=None)["What limits it?"] == said()["What limits it?"]
