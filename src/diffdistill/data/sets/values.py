"""Pixels of a foreign file as bytes: which axis is which, and what range the values have, both found by content."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from diffdistill.config.generator import SamplesGenerator
from diffdistill.data.raw import Array
from diffdistill.data.sets.contents import Contents
from diffdistill.errors import UserError

HALF_A_LEVEL = 0.5
"""Of 255: what rounding may put a value beyond the range."""
BRIGHT = 0.5
"""Share of a range that its values must reach for the range to be recognised: darker sets could be in another one."""


def layout(path: Path, shape: tuple[int, ...], wanted: tuple[int, int, int]) -> Callable[[Array], Array]:
    """What turns a block into (B, c, H, W), where c is 1 or the file's channels.

    shape: (N, ...) of the file; wanted: (C, H, W) of the real images. Raises UserError if the shape does not fit.
    """
    channels, size = {1, 3, wanted[0]}, wanted[1:]
    if len(shape) == 4 and shape[2:] == size and shape[1] in channels:
        return lambda block: block
    if len(shape) == 4 and shape[1:3] == size and shape[3] in channels:
        return lambda block: block.transpose(0, 3, 1, 2)
    if len(shape) == 3 and shape[1:] == size:
        return lambda block: block[:, None]
    raise UserError(f"{path}: images of shape {shape[1:]}, the real ones have {wanted}; bring them to this size")


def with_channels(path: Path, first: int, block: Array, channels: int) -> Array:
    """uint8 (B, c, H, W) -> (B, channels, H, W): grey is repeated, and colour that is grey is reduced.

    first: the number of the block's first image. Raises UserError naming an image that has colours where none can be.
    """
    if block.shape[1] == channels:
        return np.ascontiguousarray(block)
    if block.shape[1] == 1:
        return np.ascontiguousarray(np.broadcast_to(block, (len(block), channels, *block.shape[2:])))
    # halves may round to either side in each channel
    spread = np.ptp(block.astype(np.int16), axis=1).max(axis=(1, 2))
    if channels != 1 or spread.max(initial=0) > 1:
        image = first + int(spread.argmax())
        raise UserError(
            f"{path}: image {image} has {block.shape[1]} channels, the real images have {channels}; make them alike"
        )
    return np.ascontiguousarray(block[:, :1])


@dataclass
class Scale:
    """How values become bytes: level = value * factor + offset, per channel."""

    found: str
    """The range, as a log says it."""
    factor: Array
    offset: Array
    clip: bool
    _outside: list[int] = field(default_factory=list)
    _seen: list[int] = field(default_factory=list)

    def to_bytes(self, block: Array) -> Array:
        """(B, c, H, W) -> uint8, clipped then rounded (halves to even)."""
        if block.dtype == np.uint8:
            return block
        levels = block.astype(np.float32 if block.dtype.itemsize <= 4 else np.float64)
        np.multiply(levels, self.factor, out=levels)
        np.add(levels, self.offset, out=levels)
        if self.clip:
            low, high = np.less(levels, -HALF_A_LEVEL), np.greater(levels, 255 + HALF_A_LEVEL)
            self._outside.append(int(np.count_nonzero(low) + np.count_nonzero(high)))
            self._seen.append(levels.size)
        np.clip(levels, 0, 255, out=levels)
        return np.asarray(np.rint(levels, out=levels), np.uint8)

    @property
    def clipped(self) -> float:
        """Share of the values so far that lay outside the range."""
        return sum(self._outside) / max(1, sum(self._seen))


def blocks(path: Path, contents: Contents, arrange: Callable[[Array], Array]) -> Iterator[Array]:
    """The file's images as (B, c, H, W), refusing a file whose blocks are not as many as it says."""
    count = 0
    for block in contents.blocks():
        count += len(block)
        yield arrange(block)
    if count != contents.shape[0]:
        raise UserError(f"{path}: {count} images, {contents.shape[0]} are announced; get it again")


def scale(path: Path, contents: Contents, arrange: Callable[[Array], Array], block: SamplesGenerator) -> Scale:
    """The range of all values. Raises UserError on NaN, values outside the range, or a range that is not clear."""
    kind = contents.dtype.kind
    if kind not in "iuf":
        raise UserError(f"{path}: images of {contents.dtype}; numbers are needed")
    one = np.ones((1, 1, 1), np.float32)
    if contents.dtype == np.uint8 and (block.mean is not None or block.values not in ("auto", "bytes")):
        raise UserError(f"{path}: holds bytes 0..255, which are neither normalised nor in another range")
    if contents.dtype == np.uint8 and contents.form in ("folder", "parquet"):
        return Scale("bytes", one, 0 * one, False)
    low, high = _extremes(path, contents, arrange)
    if len(low) > 1 and block.mean is not None and len(block.mean) not in (1, len(low)):
        raise UserError(f"{path}: images of {len(low)} channels, but mean and std of {len(block.mean)}")
    if len(low) == 1 and block.mean is not None and len(block.mean) != 1:
        raise UserError(f"{path}: grey images, but mean and std of {len(block.mean)} channels; give one number each")
    values = block.values if block.values != "auto" else _range(path, contents, low, high, block.mean is not None)
    factor, offset = 255 * one, 0 * one
    if values == "bytes":
        factor = one
    elif values == "signed":
        factor, offset = 127.5 * one, 127.5 * one
    elif block.mean is not None and block.std is not None:
        factor, offset = (255 * np.array(part, np.float32).reshape(-1, 1, 1) for part in (block.std, block.mean))
        if low.min() >= 0 and not block.clip:
            raise UserError(
                f"{path}: no value is below 0 (found {_shown(low, high)}), so the images are not normalised by these "
                "mean and std; leave them out, or set the range by name"
            )
    lowest, highest = ((edge * factor.ravel() + offset.ravel()) for edge in (low, high))
    rounding = HALF_A_LEVEL + contents.epsilon * float((np.maximum(abs(low), abs(high)) * factor.ravel()).max())
    if not block.clip and (lowest.min() < -rounding or highest.max() > 255 + rounding):
        after = f", which is {lowest.min() / 255:.3f}..{highest.max() / 255:.3f} in 0..1" if values != "unit" else ""
        raise UserError(
            f"{path}: values {_shown(low, high)}{after}: outside the range of {values} images; check mean, std and "
            "range, or have the values clipped"
        )
    return Scale(f"{contents.dtype} {values} ({_shown(low, high)})", factor, offset, block.clip)


def _extremes(path: Path, contents: Contents, arrange: Callable[[Array], Array]) -> tuple[Array, Array]:
    """Lowest and highest value of each channel, float64 (c,)."""
    lows, highs, first = [], [], 0
    for block in blocks(path, contents, arrange):
        lows.append(block.min(axis=(0, 2, 3)).astype(np.float64))
        highs.append(block.max(axis=(0, 2, 3)).astype(np.float64))
        if not np.isfinite(lows[-1]).all() or not np.isfinite(highs[-1]).all():
            bad = ~np.isfinite(block).all(axis=(1, 2, 3))
            raise UserError(f"{path}: image {first + int(bad.argmax())} holds NaN or infinity; make the set again")
        first += len(block)
    if not lows:
        raise UserError(f"{path}: holds no images")
    return np.min(lows, axis=0), np.max(highs, axis=0)


def _range(path: Path, contents: Contents, low: Array, high: Array, normalised: bool) -> str:
    """The name of the range that these extremes can only belong to."""
    lowest, highest, rounding = float(low.min()), float(high.max()), HALF_A_LEVEL / 255 + contents.epsilon
    if normalised:
        return "normalised"
    if contents.dtype.kind in "iu":
        if lowest >= 0 and 1 < highest <= 255:
            return "bytes"
        reading = (
            "only 0 and 1, as of images cast to whole numbers," if 0 <= lowest <= highest <= 1 else "whole numbers"
        )
        raise UserError(f"{path}: {reading} {_shown(low, high)}; bytes 0..255 are needed")
    if lowest >= -rounding and BRIGHT <= highest <= 1 + rounding:
        return "unit"
    if -1 - rounding <= lowest <= -BRIGHT and BRIGHT <= highest <= 1 + rounding:
        return "signed"
    if lowest >= -HALF_A_LEVEL and 255 * BRIGHT <= highest <= 255 + HALF_A_LEVEL:
        return "bytes"
    raise UserError(
        f"{path}: values {_shown(low, high)} are not clearly in 0..1, -1..1 or 0..255; give mean and std if the images "
        "are normalised, or the range by name"
    )


def _shown(low: Array, high: Array) -> str:
    return f"{low.min():.3g}..{high.max():.3g}"
