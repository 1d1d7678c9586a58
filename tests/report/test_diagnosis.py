import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from diffdistill.config.stages import ExperimentFiles
from diffdistill.report import diagnosis
from diffdistill.report.results import Experiment, SetFacts
from tests.report.conftest import FINISHED, REFINED, Make

HEALTHY: dict[str, Any] = {
    "distilled": 0.98, "random": 0.99, "real": 0.99, "images": 5000, "last": 1.0, "agreement": 0.99, "recall": 0.9,
    "sample": 9.0, "flagged": [], "noticed": [], "more": {},
}  # fmt: skip


def facts(images: int, per_class: tuple[int, ...] = (1, 1)) -> SetFacts:
    return SetFacts(Path("x"), images, images, (1, 8, 8), per_class, ["a", "b"], ["a", "b"], {})


def case(**changes: Any) -> Experiment:
    """An experiment with 1,000 real images that is healthy but for the changes."""
    values = {**HEALTHY, **changes}
    images = {"distilled": values["images"], "real-random": min(1000, values["images"]), "real": 1000}
    images |= {"all-samples": 9000, "random-samples": values["images"]}

    def runs(accuracies: dict[str, float]) -> pd.DataFrame:
        rows = [
            {"train_set": kind, "accuracy": value, "seed": seed}
            for kind, value in accuracies.items()
            for seed in range(3)
        ]
        return pd.DataFrame([{**row, "images": images[row["train_set"]], "experiment": "x"} for row in rows])

    fid = pd.DataFrame({"step": [1, 2, 3], "fid": [3.0, 1.0, values["last"]], "recall": values["recall"]})
    return Experiment(
        name="x", dataset="x", settings={}, files=ExperimentFiles(real="x"), real=facts(1000),
        distilled=facts(values["images"]), accuracy=runs({"distilled": values["distilled"]}),
        baselines=runs({"real-random": values["random"], "real": values["real"], **values["more"]}),
        fid=fid.assign(label_agreement=values["agreement"], label_agreement_validation=0.995),
        account={"images": 1, "seconds": {"load": 1.0, "sample": values["sample"]}, "budget_seconds": 10.0},
        audit={
            "verdict": "flagged" if values["flagged"] else "pass", "images": {"generated": 5000},
            "measures": [
                {"name": "copies", "verdict": "flagged" if values["flagged"] else "pass", "reason": "0.9 lies above"}
            ],
            "cannot_show": "It cannot show that none were copied.",
        },
    )  # fmt: skip


def answered(experiment: Experiment) -> dict[str, str]:
    return {answer.question: " ".join(answer.sentences) for answer in diagnosis.answers(experiment)}


def test_a_healthy_set() -> None:
    answers = answered(case())
    assert "reach 0.9800 ± 0.0000 on real test images, a relative accuracy of 99.0%" in answers["How good is it?"]
    assert answers["What limits it?"] == "Nothing that was measured stands out."
    said = answers["Does it give its source away?"]
    assert "5,000 generated images" in said and said.endswith("It cannot show that none were copied.")


def test_the_size_beside_the_real_images() -> None:
    said = answered(replace(case(), account=case().account | {"generator": {"bytes": 2_500_000}}))["How large is it?"]  # type: ignore[operator]
    assert "The set has 5,000 images, 5.00 times as many as the 1,000 real train images: 320.0 kB of pixels" in said
    assert "weights of its generator take 2.5 MB" in said
    assert "limits the time for sampling, not the number of images" in said
    few = list(diagnosis.size(replace(case(), account=None, distilled=facts(9, (9, 0)))))
    assert few == [
        "The set has 9 images, 0.009 times as many as the 1,000 real train images: 576 B of pixels against 64.0 kB.",
        "1 of its 2 classes have no image.",
    ]


@pytest.mark.parametrize(
    ("change", "limit", "remedy"),
    [
        ({"agreement": 0.9}, "Labels: .* agrees with 90.0%", "select.label_noise: relabel"),
        ({"recall": 0.3}, "Variety: 30%", "checkpoint.by: pilot"),
        ({"last": 0.5}, "Training: the last FID, 0.5", "Raise train.iterations"),
        (
            {"images": 500, "distilled": 0.97, "random": 0.97},
            "Number: .* 500 images against 1,000",
            "sample.budget_seconds",
        ),
        ({"sample": 1.0}, "Budget: 50% of the seconds", "Raise sample.budget_seconds"),
    ],
)
def test_each_limit_is_named_alone_with_its_remedy(change: dict[str, Any], limit: str, remedy: str) -> None:
    answers = answered(case(**change))
    found = answers["What limits it?"]
    assert re.search(limit, found) and remedy in answers["What to change?"]
    assert sum(word in found for word in ("Labels:", "Variety:", "Training:", "Number:", "Budget:")) == 1


def test_fewer_images_than_real_ones_are_compared_with_as_many() -> None:
    assert "That is 0.0100 less than 500 random real images" in answered(case(images=500))["How good is it?"]


def test_a_selection_is_compared_with_what_it_was_selected_from() -> None:
    assert "selection" not in answered(case())["How good is it?"]
    found = answered(case(more={"all-samples": 0.99, "random-samples": 0.9}))["How good is it?"]
    assert "as many random samples reach 0.9000 ± 0.0000; all 9,000 samples reach 0.9900" in found
    selected = case(more={"all-samples": 0.99})
    assert "The set is a selection: all 9,000" in answered(selected)["How good is it?"]
    refined = replace(selected, refined=REFINED)
    assert "The set is refined from samples: all 9,000" in answered(refined)["How good is it?"]


def test_a_refined_set_of_few_images_is_made_larger_by_its_own_key() -> None:
    few = case(images=100, random=0.95)
    assert "Sample more" in answered(few)["What to change?"]
    assert answered(replace(few, refined=REFINED))["What to change?"] == "Raise refine.images_per_class."


def test_a_flagged_set_is_not_called_private() -> None:
    said = answered(case(flagged=True))["Does it give its source away?"]
    assert "its verdict is: flagged." in said and "Flagged: copies, 0.9 lies above." in said
    assert "Do not treat the set as private" in said and "It cannot show that none were copied." in said


def test_measures_that_were_not_taken_limit_nothing() -> None:
    assert answered(case(agreement=None, recall=None)) == answered(case())


def test_questions_without_files_are_left_out(make: Make) -> None:
    experiments = make(theirs={"kinds": FINISHED}, bare={"kinds": ("real",)}).experiments
    assert list(answered(experiments["theirs"])) == [
        "How good is it?",
        "How large is it?",
        "Does it give its source away?",
    ]
    assert answered(experiments["bare"]) == {}
