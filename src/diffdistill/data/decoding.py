"""One picture file's bytes to one uint8 array; every failure told at once."""

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from diffdistill.data.raw import Array
from diffdistill.errors import UserError

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""Decoded by content. No others: Pillow hands some formats (EPS) to external programs."""
LISTED = 10


def decode(data: bytes, *, channels: int | None = None, size: int | None = None) -> Array:
    """uint8 (C, H, W) of one picture (of an animation the first), turned upright as its EXIF block says.

    channels: 1 or 3; None keeps grey pictures (1-bit, 8-bit, 16-bit) at one and makes three of all others. What is
    transparent is laid over white. size: the middle square, resized to size x size; None keeps the picture's own.
    Raises ValueError if the bytes are no picture, cut off, or implausibly large.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is odd but readable is not worth a line a picture
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
                if opened.mode == "F" or (opened.mode == "I" and opened.format == "TIFF"):
                    raise ValueError("32-bit pixels, whose range is unknown")
                image = _plain(ImageOps.exif_transpose(opened))
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
    return array[None] if array.ndim == 2 else np.ascontiguousarray(array.transpose(2, 0, 1))


def _plain(image: Image.Image) -> Image.Image:
    """Mode L for grey pictures, RGB for all others."""
    if image.mode.startswith("I"):
        levels = np.asarray(image, dtype=np.int64)  # Pillow would clip 16-bit levels at 255 instead of scaling them
        levels = np.where(levels == image.info.get("transparency", -1), 65535, levels)
        return Image.fromarray(np.rint(levels / 257).astype(np.uint8))
    grey = image.mode in ("1", "L", "LA", "La")
    if image.has_transparency_data:
        with_alpha = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), with_alpha).convert("RGB")
    return image.convert("L" if grey else "RGB")


class Failures:
    """Collects the files that cannot be used, to name them in one error."""

    def __init__(self) -> None:
        self._reasons: list[str] = []

    def add(self, name: str, reason: object) -> None:
        self._reasons.append(f"{name} ({reason})")

    def raise_if_any(self, path: Path) -> None:
        """Raises UserError with the count and the first ten."""
        if self._reasons:
            more = f" and {len(self._reasons) - LISTED} more" if len(self._reasons) > LISTED else ""
            listed = ", ".join(sorted(self._reasons)[:LISTED])
            count = "1 file is" if len(self._reasons) == 1 else f"{len(self._reasons)} files are"
            raise UserError(f"{path}: {count} not a whole picture: {listed}{more}; repair or remove them")
