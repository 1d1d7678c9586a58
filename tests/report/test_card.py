from dataclasses import replace
from pathlib import Path

from diffdistill.report.card import Licence, card
from diffdistill.runtime import files
from tests.report.conftest import FROM_REAL, Make

ADVICE = "set it"


def exported(folder: Path) -> list[Path]:
    paths = [folder / name for name in ("images.zip", "train.parquet")]
    for path in paths:
        path.write_bytes(path.suffix.encode())
    return paths


def test_the_card_names_files_size_accuracies_audit_and_licence(make: Make) -> None:
    project = make(small={})
    paths = exported(project.folder)
    (one,) = project.experiments.values()
    text = card(one, paths, Licence("CC0.", "folder", ADVICE))
    assert text.startswith("---\nlicense: other\n") and "path: train.parquet" in text
    assert f"| images.zip | 4 | {files.sha256(paths[0])} |" in text
    assert "| distilled set | 9 | 1.50x | 576 B | 177.0 MB | 3 | 0.4500 ± 0.0100 | 0.5000 |" in text
    assert "| all real images | 6 | 1.00x | 384 B |  | 3 | 0.9000 ± 0.0000 | 1.0000 |" in text
    assert "The set has 9 images, 1.50 times as many as the 6 real train images" in text
    assert "limits the time for sampling, not the number of images" in text
    assert "sampled from a class-conditional diffusion model" in text and "tags: [synthetic, distillation]" in text
    assert "digitalsourcetype/trainedAlgorithmicMedia" in text and "croissant.json" in text
    assert '- selected_by: `{"method": "all"' in text and text.endswith("The real images: CC0.\n")


def test_a_card_of_the_images_alone(make: Make) -> None:
    (one,) = make(small={}).experiments.values()
    bare = replace(one, accuracy=None, baselines=None, account=None, audit=None)
    text = card(bare, [], Licence(None, "folder", ADVICE))
    assert "## Accuracy" not in text and text.endswith("The real images: not known; set it\n")
    assert "Nothing: whether the set holds copies of real images is not known." in text
    assert "## Size" in text and "diffusion model" not in text


def test_the_card_says_what_was_audited_what_was_not_and_what_was_overridden(make: Make) -> None:
    (one,) = make(small={}).experiments.values()
    licence = Licence(None, "folder", ADVICE)
    text = card(one, [], licence, ["membership_loss"])
    assert "Verdict: pass." in text and "Released despite" not in text  # what passes is not overridden
    assert (
        "| nearest_neighbour | what nearest_neighbour is | 0.515 | 0.49 | 0.54 | 0.6667 | pass | reason: chance |"
        in text
    )
    assert "Not audited:\n\n- mirrored copies" in text and "It cannot show that none were copied." in text
    audit = one.audit or {}
    flagged = [measure | {"verdict": "flagged"} for measure in audit["measures"]]
    blocked = replace(one, audit=audit | {"verdict": "flagged", "measures": flagged})
    text = card(blocked, [], licence, ["membership_loss"])
    assert "**Released despite** membership_loss (flagged: 0.515 does not exceed)." in text


def test_the_card_of_a_set_refined_from_real_images_says_so(make: Make) -> None:
    (one,) = make(small={"kinds": FROM_REAL}).experiments.values()
    assert one.distilled is not None
    derived = replace(one.distilled, metadata=one.distilled.metadata | {"derived_from": "real images, changed"})
    text = card(replace(one, distilled=derived), [], Licence(None, "folder", ADVICE))
    assert "9 synthetic images of 3 classes, refined from real images, changed." in text
    assert "## How it was refined" in text and "derived from real images and may show parts of them" in text
    assert "digitalsourcetype/compositeWithTrainedAlgorithmicMedia" in text and "- derived_from: `real images" in text
