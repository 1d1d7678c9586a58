"""What is made of a generator's images, and the page on it."""

from typing import Any

import pytest
import torch

from benchmarks import given, quality


def row(treatment: str, seed: int, *accuracies: float, **other: Any) -> dict[str, Any]:
    return {
        "data": "fashion", "generator": f"unet, 600 s, seed {seed}", "treatment": treatment, "images": 100,
        "agreement": 0.9, "accuracies": list(accuracies), "machine": "device cpu", **other,
    }  # fmt: skip


def test_the_spread_is_that_over_networks() -> None:
    rows = [
        row("as sampled", 0, 0.70, 0.90),
        row("as sampled", 1, 0.81, 0.83),
        row("soft labels", 0, 0.5, agreement=None),
    ]
    page = given.page(rows)
    assert "## fashion: unet, 600 s of training\n" in page
    assert "| as sampled | 100 | 2; 2 | 90.0 % | 81.00 ± 1.41 % |" in page
    assert "| soft labels | 100 | 1; 1 | - | 50.00 % |" in page


def test_the_last_row_of_a_network_counts() -> None:
    page = given.page([row("as sampled", 0, 0.1), row("as sampled", 0, 0.8)])
    assert "| 1; 1 | 90.0 % | 80.00 % |" in page


def test_a_part_of_the_samples_has_every_class() -> None:
    samples = quality.Split(torch.arange(40), torch.arange(40) % 10)
    assert given.first(samples, 20).labels.bincount().tolist() == [2] * 10
    with pytest.raises(ValueError, match="40 samples, 41 needed"):
        given.first(samples, 41)
