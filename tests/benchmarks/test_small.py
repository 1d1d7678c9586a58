"""The page on small sets, from recorded rows."""

from typing import Any

from benchmarks import small_page


def row(name: str, per_class: int, *accuracies: float, **other: Any) -> dict[str, Any]:
    return {
        "data": "fashion", "set": name, "per_class": per_class, "architecture": "convnet", "way": "hard", "images": 10,
        "accuracies": list(accuracies), **other,
    }  # fmt: skip


def test_the_last_row_of_a_set_counts_and_an_earlier_one_of_other_settings_is_kept() -> None:
    page = small_page.page([row("real-random", 1, 0.5, 0.6), row("real-random", 1, 0.7, 0.9)])
    assert "| real-random | 80.0 ± 14.1 (2) |" in page
    assert "real-random, 1 per class: 55.0 ± 7.1 (2)" in page.split("Measured before")[1]


def test_a_row_that_adds_trainings_replaces_the_shorter_one() -> None:
    page = small_page.page([row("real-random", 1, 0.5), row("real-random", 1, 0.5, 0.6)])
    assert "| real-random | 55.0 ± 7.1 (2) |" in page and "Measured before" not in page


def test_samples_of_two_generators_in_one_table_are_told_apart() -> None:
    rows = [row("generated-random", 1, 0.5), row("generated-random", 50, 0.7, generator="hour_2"), row("real", 0, 0.8)]
    page = small_page.page(rows)
    assert "- Samples of `fashion_unet_hour_1`: generated-random, 1 per class.\n" in page
    assert "- Samples of `hour_2`: generated-random, 50 per class.\n" in page
    assert "Samples of" not in small_page.page(rows[:1])


def test_a_set_of_other_settings_has_a_row_of_its_own() -> None:
    page = small_page.page([row("refined-real", 10, 0.8), row("refined-real", 10, 0.7, variant="factor 1")])
    assert "| refined-real | 80.0 (1) |\n| refined-real, factor 1 | 70.0 (1) |\n" in page


def test_all_images_of_two_generators_stand_beside_each_other() -> None:
    page = small_page.page([row("real", 0, 0.8), *(row("generated", 0, 0.7, generator=one) for one in ("a", "b"))])
    found = [line for line in page.splitlines() if line.startswith("All ")]
    assert found == [
        "All 10 real images: 80.0 (1).", "All 10 generated images of `a`: 70.0 (1).",
        "All 10 generated images of `b`: 70.0 (1).",
    ]  # fmt: skip
    assert "Measured before" not in page
