"""Levels of pictures with more than 8 bits per sample."""

from pathlib import Path

import numpy as np
import pytest

from diffdistill.data import decoding
from diffdistill.errors import UserError
from tests.data.pictures import png16, tiff

LEVELS = (np.arange(48, dtype=np.uint16).reshape(4, 4, 3) * 1394)[..., ::-1]
OPAQUE = np.full((4, 4, 1), 65535, dtype=np.uint16)
EIGHT = np.rint(LEVELS / 257).transpose(2, 0, 1)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (png16(LEVELS), EIGHT),
        (png16(np.concatenate([LEVELS, OPAQUE], -1)), EIGHT),
        (png16(LEVELS[..., :1]), EIGHT[:1]),
        (png16(np.concatenate([LEVELS[..., :1], OPAQUE], -1)), EIGHT[:1]),
        (tiff(LEVELS.astype("<u2"), photometric=2), EIGHT),
        (tiff(LEVELS.astype(">u2"), photometric=2), EIGHT),
        (tiff(LEVELS[..., 0].astype(">u2")), EIGHT[:1]),
        (tiff(LEVELS[..., 0].astype("<u2"), photometric=0), 255 - EIGHT[:1]),
    ],
)
def test_the_full_range(data: bytes, expected: np.ndarray) -> None:  # type: ignore[type-arg]
    found = decoding.picture(data)
    assert np.abs(found.pixels.astype(int) - expected).max() <= (0 if expected is EIGHT else 1)
    assert found.highest == int(LEVELS[..., : max(1, len(expected))].max())


def test_twelve_bits_in_sixteen_keep_all_their_levels() -> None:
    levels = np.arange(4096, dtype=np.uint16).reshape(64, 64, 1)
    for data in (png16(levels), png16(levels.repeat(3, -1)), tiff(levels[..., 0])):
        found = decoding.picture(data, bits=12)
        assert len(np.unique(found.pixels)) == 256 and found.highest == 4095
        assert np.array_equal(found.pixels[0], np.rint(levels[..., 0] * (255 / 4095)))


def test_what_is_transparent_lies_on_white() -> None:
    alpha = OPAQUE.copy()
    alpha[0] = 0
    for levels in (LEVELS, LEVELS[..., :1]):
        found = decoding.picture(png16(np.concatenate([levels, alpha], -1)))
        assert (found.pixels[:, 0] == 255).all() and found.highest == int(levels[1:].max())


def test_a_pgm_says_its_own_white() -> None:
    dark = b"P5 2 2 4095\n" + np.array([0, 100, 200, 300], dtype=">u2").tobytes()
    found = decoding.picture(dark, bits=12)
    assert found.highest is None and found.pixels.ravel().tolist() == [0, 6, 12, 19]


def test_a_pfm_has_no_known_range() -> None:
    with pytest.raises(ValueError, match="floating-point pixels, whose range is unknown"):
        decoding.picture(b"Pf\n2 2\n-1.0\n" + np.array([0, 0.25, 0.5, 1], dtype="<f4").tobytes())


@pytest.mark.parametrize(
    ("highest", "bits"), [(0, 8), (255, 8), (256, 10), (1023, 10), (3000, 12), (4096, 14), (16384, 16), (65535, 16)]
)
def test_usual_numbers_of_bits(highest: int, bits: int) -> None:
    assert decoding.significant_bits(highest) == bits


def test_failures_are_counted_by_ending() -> None:
    failures = decoding.Failures()
    failures.raise_if_any(Path("x"))
    failures.add("a/b.txt", "no picture")
    with pytest.raises(UserError, match=r"^x: 1 file is not a whole picture: a/b\.txt \(no picture\); repair"):
        failures.raise_if_any(Path("x"))
    for ending in ("txt", "TXT", "ogg", "json", "xml", "md", "py"):
        for number in range(3):
            failures.add(f"a/{number}.{ending}", "no picture")
    failures.add("a/none", "no picture")
    with pytest.raises(UserError, match=r"23 files are .*7 with \.txt, such as a/0\.TXT .* and 2 more endings; repair"):
        failures.raise_if_any(Path("x"))
