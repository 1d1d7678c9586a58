"""Data sets in MNIST's IDX format (Fashion-MNIST, KMNIST, ...), with or without .gz.

Format: http://yann.lecun.com/exdb/mnist/. Fashion-MNIST: H. Xiao et al., arXiv:1708.07747.
"""

import gzip
import io
import math
import struct
import zlib
from pathlib import Path, PurePosixPath

import numpy as np

from diffdistill.data import archives
from diffdistill.data.raw import Array, RawData, Split, in_sorted_order
from diffdistill.errors import UserError

FASHION_MNIST = [
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
]  # fmt: skip
"""Names of Fashion-MNIST's labels 0..9."""
_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
_UNSIGNED_BYTES = 8


def read(path: Path | str, *, classes: list[str] | None = None) -> RawData:
    """Images uint8 (N, 1, H, W) of a folder or archive with the four files; the t10k pair may be absent.

    classes: the names of labels 0, 1, ...; None names them by number. Raises UserError if a file is missing or broken.
    """

    def key(name: str) -> str:
        return PurePosixPath(name).name.removesuffix(".gz").replace(".idx", "-idx")

    arrays: dict[str, Array] = {}
    for name, data in archives.read(path, lambda name: key(name) in _FILES):
        if key(name) not in arrays:  # some downloads keep both the .gz and what was in it
            arrays[key(name)] = _array(data, 3 if "idx3" in key(name) else 1, f"{path}: {name}")
    missing = [name for name in _FILES if name not in arrays]
    if missing and missing != list(_FILES[2:]):
        raise UserError(f"{path}: {missing[0]} (or .gz) is missing; fetch it, or give the folder that has it")
    if classes is None:
        count = 1 + max(int(arrays[name].max(initial=0)) for name in arrays if "labels" in name)
        classes = [f"{label:0{len(str(count - 1))}}" for label in range(count)]
    splits: list[Split | None] = []
    for images_file, labels_file in (_FILES[:2], _FILES[2:]):
        if images_file not in arrays:
            splits.append(None)
            continue
        images, labels = arrays[images_file], arrays[labels_file]
        if len(images) != len(labels):
            raise UserError(f"{path}: {len(images)} images in {images_file}, {len(labels)} labels; fetch both again")
        splits.append(Split(images[:, None], in_sorted_order(classes, labels, f"{path}: {labels_file}")[1]))
    train, test = splits
    assert train is not None
    return RawData(train, test, sorted(classes), archives.checksum(path))


def _array(data: bytes, dimensions: int, source: str) -> Array:
    """uint8 of as many dimensions as the header says."""
    file = gzip.GzipFile(fileobj=io.BytesIO(data)) if data[:2] == b"\x1f\x8b" else io.BytesIO(data)
    try:
        zeros, code, found = struct.unpack(">HBB", file.read(4))
        if (zeros, code, found) != (0, _UNSIGNED_BYTES, dimensions):
            raise ValueError(f"its head is not that of bytes in {dimensions} dimensions")
        shape = struct.unpack(f">{dimensions}I", file.read(4 * dimensions))
        size = math.prod(shape)
        if size > max(archives.RATIO_FREE, archives.RATIO_LIMIT * len(data)):
            raise ValueError(f"it claims {size} bytes, which is not plausible")
        content = file.read(size + 1)  # one more, to see that nothing follows
        if len(content) != size:
            raise ValueError(f"it should have {size} bytes after its head")
    except (OSError, EOFError, ValueError, struct.error, zlib.error) as error:
        raise UserError(f"{source} is not a whole IDX file ({error}); fetch it again") from error
    return np.frombuffer(bytearray(content), dtype=np.uint8).reshape(shape)
