"""Folders and archives of small pictures for tests."""

import shutil
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from diffdistill.data.raw import Array


def put(root: Path, *names: str, side: int = 8) -> Path:
    """Grey pictures of these names, each with a level of its own; a name that ends in '/' is an empty folder."""
    for level, name in enumerate(names):
        path = root / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (side, side), level % 256).save(path, "PNG")
    return root


def packed(folder: Path, kind: str) -> Path:
    """The folder itself, or a zip or tar of it beside it, empty folders included."""
    return folder if kind == "folder" else Path(shutil.make_archive(str(folder) + "-packed", kind, folder))


def classes(count: int, *names: str) -> Iterable[str]:
    """Names of `count` pictures of each class."""
    return (f"{name}/{index}.png" for name in names for index in range(count))


def png16(levels: Array) -> bytes:
    """A 16-bit PNG of levels (H, W, C): 1 grey, 2 grey with alpha, 3 colours, 4 colours with alpha."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width, channels = levels.shape
    head = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in levels)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff(levels: Array, *, photometric: int = 1, sample_format: int = 1) -> bytes:
    """An uncompressed TIFF of levels (H, W) or (H, W, C), in their own byte order."""
    order = ">" if levels.dtype.byteorder == ">" else "<"
    height, width = levels.shape[:2]
    samples = levels.shape[2] if levels.ndim == 3 else 1
    bits = levels.dtype.itemsize * 8
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, photometric), (273, 0), (277, samples),
            (278, height), (279, levels.nbytes), (339, sample_format)]  # fmt: skip
    many = {258, 339} if samples > 2 else set()
    extra_at = 8 + 2 + 12 * len(tags) + 4
    extra = b""
    entries = b""
    data_at = extra_at + len(many) * 2 * samples
    for tag, value in tags:
        if tag in many:
            entries += struct.pack(order + "HHII", tag, 3, samples, extra_at + len(extra))
            extra += struct.pack(f"{order}{samples}H", *[value] * samples)
        else:
            entries += struct.pack(order + "HHII", tag, 4, 1, data_at if tag == 273 else value)
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    return (
        head + struct.pack(order + "H", len(tags)) + entries + bytes(4) + extra + np.ascontiguousarray(levels).tobytes()
    )
