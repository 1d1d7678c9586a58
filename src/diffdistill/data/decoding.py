"""One picture file's bytes to one uint8 array; all pictures that fail are listed in one error."""

import io
import sys
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from diffdistill.data.raw import Array
from diffdistill.errors import UserError

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""Decoded by content. No others: Pillow hands some formats (EPS) to external programs."""
FULL_RANGE = 16
"""Bits of a sample that 16-bit files have room for."""
USUAL_BITS = (8, 10, 12, 14, 16)
"""Of cameras and scanners."""
LISTED = 10
_OTHER_ORDER = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
_LOW_BYTE = {
    f"{mode};16{order}": f"{mode};16{other}"
    for mode in ("RGB", "RGBA", "RGBX")
    for order, other in _OTHER_ORDER.items()
}
"""How Pillow unpacks the high byte of 16-bit colours, and how it unpacks the low one."""
_DEEP_GREY_WITH_ALPHA = "LA;16B"
_ORIENTATION, _PHOTOMETRIC, _SAMPLE_FORMAT, _BITS_PER_SAMPLE = 274, 262, 339, 258
_WHITE_IS_ZERO, _UNSIGNED = 0, 1


@dataclass(frozen=True)
class Picture:
    """One decoded picture."""

    pixels: Array
    """uint8 (C, H, W)."""
    highest: int | None = None
    """The highest level of a picture with 16-bit samples, as stored; None for 8 bits."""


def decode(data: bytes, *, channels: int | None = None, size: int | None = None, bits: int = FULL_RANGE) -> Array:
    """uint8 (C, H, W) of one picture, as `picture` reads it."""
    return picture(data, channels=channels, size=size, bits=bits).pixels


def picture(data: bytes, *, channels: int | None = None, size: int | None = None, bits: int = FULL_RANGE) -> Picture:
    """One picture (of an animation the first), turned upright as its EXIF block says.

    channels: 1 or 3; None keeps grey pictures (1-bit, 8-bit, 16-bit) at one and makes three of all others. What is
    transparent is laid over white. size: the middle square, resized to size x size; None keeps the picture's own.
    bits: significant bits of 16-bit samples; level 2^bits - 1 is white. Raises ValueError if the bytes are no picture,
    cut off, implausibly large, or have samples whose range is unknown.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is odd but readable is not worth a line per picture
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
                _require_known_range(opened)
                image, highest = _in_eight_bits(opened, data, bits)
    except UnidentifiedImageError as error:
        raise ValueError(f"not one of {', '.join(FORMATS)}") from error
    except Exception as error:  # Pillow's decoders raise nearly anything on broken input
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error
    if channels is not None:
        image = image.convert({1: "L", 3: "RGB"}[channels])
    if size is not None:
        # cropped before it is resized, or what lies outside the square would bleed into its edge
        side, left, top = min(image.size), *((length - min(image.size)) // 2 for length in image.size)
        image = image.crop((left, top, left + side, top + side)).resize((size, size), Image.Resampling.LANCZOS)
    array = np.array(image, dtype=np.uint8)
    return Picture(array[None] if array.ndim == 2 else np.ascontiguousarray(array.transpose(2, 0, 1)), highest)


def significant_bits(highest: int) -> int:
    """The usual number of bits that holds the highest level of a whole set of 16-bit pictures."""
    return next(bits for bits in USUAL_BITS if highest < 1 << bits)


def _tag(image: Image.Image, number: int, default: int) -> int:
    """A whole number among a TIFF's tags; of several, the first."""
    found = getattr(image, "tag_v2", {}).get(number, default)
    return int(found[0] if isinstance(found, tuple) else found)


def _require_known_range(image: Image.Image) -> None:
    if image.mode == "F":  # TIFF, and PFM, which Pillow takes for a PPM
        raise ValueError("floating-point pixels, whose range is unknown")
    if image.format != "TIFF":
        return
    signed = "signed " if _tag(image, _SAMPLE_FORMAT, _UNSIGNED) == 2 else ""
    if signed or image.mode == "I":
        raise ValueError(f"{signed}{_tag(image, _BITS_PER_SAMPLE, 32)}-bit pixels, whose range is unknown")


def _in_eight_bits(opened: Image.Image, data: bytes, bits: int) -> tuple[Image.Image, int | None]:
    """Mode L for grey pictures, RGB for all others, upright; the highest level of 16-bit samples, None for 8 bits."""
    tile = getattr(opened, "tile", [])
    raw = _raw_mode(tile[0]) if tile else ""
    if raw in _LOW_BYTE or raw == _DEEP_GREY_WITH_ALPHA:
        levels, alpha = _deep_samples(opened, data, raw)
        image = Image.fromarray(np.concatenate([_scaled(levels, bits), alpha], axis=-1))
        image.getexif()[_ORIENTATION] = opened.getexif().get(_ORIENTATION, 1)
        plain = _plain(ImageOps.exif_transpose(image), grey=raw == _DEEP_GREY_WITH_ALPHA)
        return plain, int((levels * (alpha > 0)).max(initial=0))
    upright = ImageOps.exif_transpose(opened)
    if not upright.mode.startswith("I"):
        return _plain(upright, grey=upright.mode in ("1", "L", "LA", "La")), None
    levels = np.asarray(upright, dtype=np.int64)  # Pillow would clip 16-bit levels at 255 instead of scaling them
    transparent = levels == upright.info.get("transparency", -1)
    if opened.format == "PPM":  # its head says which level is white, and Pillow has scaled to that
        return Image.fromarray(_scaled(levels, FULL_RANGE)), None
    highest = int(np.where(transparent, 0, levels).max(initial=0))
    if opened.format == "TIFF" and _tag(opened, _PHOTOMETRIC, 1) == _WHITE_IS_ZERO:
        levels = (1 << bits) - 1 - levels
    return Image.fromarray(np.where(transparent, np.uint8(255), _scaled(levels, bits))), highest


def _scaled(levels: Array, bits: int) -> Array:
    """uint8 of levels 0..2^bits - 1."""
    white = (1 << bits) - 1
    return np.rint(levels.clip(0, white) * (255 / white)).astype(np.uint8)


def _deep_samples(opened: Image.Image, data: bytes, raw: str) -> tuple[Array, Array]:
    """Levels int64 (H, W, 3) of 16-bit samples, and their alpha uint8 (H, W, 1).

    Pillow keeps the high byte of such samples only, so that of colours the low one is read by a second pass with the
    byte order turned round; two samples of 16 bits, grey and alpha, are read as four of 8.
    """
    transparent = opened.info.get("transparency")
    if raw == _DEEP_GREY_WITH_ALPHA:
        samples = _read_as(data, "RGBA")
        grey = samples[..., :1] * 256 + samples[..., 1:2]
        return grey.repeat(3, axis=-1), samples[..., 2:3].astype(np.uint8)
    high, low = np.asarray(opened, dtype=np.int64), _read_as(data, _LOW_BYTE[raw])
    levels = (high * 256 + low)[..., :3]
    if raw.startswith("RGBA"):
        return levels, high[..., 3:].astype(np.uint8)
    opaque = np.full((*levels.shape[:2], 1), 255, dtype=np.uint8)
    if isinstance(transparent, tuple):
        opaque[(levels == transparent).all(axis=-1)] = 0
    return levels, opaque


def _read_as(data: bytes, raw: str) -> Array:
    """The samples int64 (H, W, C) of a picture, its bytes understood otherwise than its head says."""
    with Image.open(io.BytesIO(data), formats=FORMATS) as again:
        assert isinstance(again, ImageFile.ImageFile)
        again.tile = [
            one._replace(args=(raw, *one.args[1:]) if isinstance(one.args, tuple) else raw) for one in again.tile
        ]
        return np.asarray(again, dtype=np.int64)


def _raw_mode(tile: ImageFile._Tile) -> str:
    return str(tile.args[0] if isinstance(tile.args, tuple) else tile.args)


def _plain(image: Image.Image, *, grey: bool) -> Image.Image:
    """Mode L if `grey`, else RGB; what is transparent is laid over white."""
    if image.has_transparency_data:
        with_alpha = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), with_alpha).convert("RGB")
    return image.convert("L" if grey else "RGB")


class Failures:
    """Collects the files that cannot be used, to name them in one error."""

    def __init__(self) -> None:
        self._reasons: dict[str, str] = {}

    def add(self, name: str, reason: object) -> None:
        self._reasons[name] = str(reason)

    def raise_if_any(self, path: Path) -> None:
        """Raises UserError with the number of files by ending and reason, and a few examples."""
        if not self._reasons:
            return
        if len(self._reasons) <= LISTED:
            listed = ", ".join(f"{name} ({reason})" for name, reason in sorted(self._reasons.items()))
        else:
            names = sorted(self._reasons)
            examples = {_ending(name): name for name in reversed(names)}
            listed = ", ".join(
                f"{count} with {ending}, such as {examples[ending]} ({self._reasons[examples[ending]]})"
                for ending, count in Counter(map(_ending, names)).most_common(LISTED // 2)
            )
            if len(examples) > LISTED // 2:
                listed += f" and {len(examples) - LISTED // 2} more endings"
        count = "1 file is" if len(self._reasons) == 1 else f"{len(self._reasons)} files are"
        raise UserError(f"{path}: {count} not a whole picture: {listed}; repair, remove or skip them")


def _ending(name: str) -> str:
    return PurePosixPath(name).suffix.lower() or "no ending"
