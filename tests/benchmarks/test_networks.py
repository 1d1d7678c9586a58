"""The page on networks, from recorded rows."""

from typing import Any

import torch

from benchmarks import networks


def row(seed: int, accuracy: float, **other: Any) -> dict[str, Any]:
    return {
        "data": "fashion", "network": "uvit", "parameters": 1_000_000, "seed": seed, "limit": 60.0, "iterations": 100,
        "loss": 0.05, "nfe": 8, "images": 5000, "agreement": 0.8, "accuracy": accuracy, "images_per_second": 100,
        "processor": "AVX2", **other,
    }  # fmt: skip


def test_medians_are_over_networks_of_as_many_images_and_evaluations() -> None:
    page = networks.page([row(0, 0.7), row(1, 0.9), row(2, 0.8), row(0, 0.95, images=60_000), row(0, 0.6, nfe=5)])
    assert "| 8 | 80.0 % | 5,000 | 80.0 % (70.0 to 90.0, 3) |" in page
    assert "| 8 | 80.0 % | 60,000 | 95.0 % (95.0, 1) |" in page
    assert "| 5 | 80.0 % | 5,000 | 60.0 % (60.0, 1) |" in page


def test_images_of_another_side_have_a_table_of_their_own() -> None:
    page = networks.page([row(0, 0.7), row(0, 0.6, side=16), row(0, 0.5, data="cifar")])
    titles = [line for line in page.splitlines() if line.startswith("## ")]
    assert titles == [
        "## Fashion-MNIST, 16x16: 60 s of training, AVX2", "## Fashion-MNIST, 28x28: 60 s of training, AVX2",
        "## Ten classes of CIFAR-100, 32x32: 60 s of training, AVX2",
    ]  # fmt: skip


def test_scaled_images_keep_their_labels_and_brightness() -> None:
    task = networks.Task.fashion(toy=True).scaled(14)
    assert task.data.images.shape == (200, 1, 14, 14) and task.data.images.dtype == torch.uint8
    before = networks.Task.fashion(toy=True).data
    assert task.data.labels.equal(before.labels)
    assert abs(float(task.data.images.float().mean() - before.images.float().mean())) < 1
