"""Readers of what users have: each gives the published images, labels and class names."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Published:
    """Images uint8 (N, C, H, W), labels int64 (N,), as published; test is None where no test split is."""

    train_images: Array
    train_labels: Array
    test_images: Array | None
    test_labels: Array | None
    classes: list[str]
    checksum: str


def digits() -> Published:
    """The 1,797 real 8x8 scans that ship with scikit-learn; grey levels 0..16 become 0..255."""
    from sklearn.datasets import load_digits

    values, labels = load_digits(return_X_y=True)
    images = np.rint(values.reshape(-1, 1, 8, 8) * 255 / 16).astype(np.uint8)
    checksum = hashlib.sha256(images.tobytes() + labels.astype(np.int64).tobytes()).hexdigest()
    return Published(images, labels.astype(np.int64), None, None, [str(digit) for digit in range(10)], checksum)
