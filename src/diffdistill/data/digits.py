"""The 1,797 real 8x8 scans of handwritten digits that ship with scikit-learn."""

import hashlib
from pathlib import Path

import numpy as np

from diffdistill.data.raw import RawData, Split


def read(path: Path | str | None = None) -> RawData:
    """Grey levels 0..16 become 0..255; no test split is published. `path` is not needed."""
    from sklearn.datasets import load_digits

    values, labels = load_digits(return_X_y=True)
    images = np.rint(values.reshape(-1, 1, 8, 8) * 255 / 16).astype(np.uint8)
    labels = labels.astype(np.int64)
    checksum = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    return RawData(Split(images, labels), None, [str(digit) for digit in range(10)], checksum)
