"""The bundled digits."""

import numpy as np

from diffdistill.data import digits as digits_reader


def test_the_digits_are_the_real_ones() -> None:
    digits = digits_reader.read()
    assert (
        digits.test_images is None and digits.train_images.shape == (1797, 1, 8, 8) and digits.train_images.max() == 255
    )
    assert np.bincount(digits.train_labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
