"""A small set of images, written in every form that is read."""

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from diffdistill.config.generator import SamplesGenerator
from diffdistill.data import image_files
from diffdistill.data.sets import Found, RealSet, read

CLASSES = ["ant", "bee", "cat"]
REAL = RealSet(CLASSES, (3, 4, 4))
FILE_ORDER = ["cat", "ant", "bee"]
"""Another order than the real data's."""
MEAN, STD = (0.5, 0.4, 0.3), (0.25, 0.2, 0.3)


@dataclass
class Given:
    """uint8 images (N, 3, H, W), labels into `names`, and what else a test asks for."""

    images: np.ndarray[Any, Any] = field(default_factory=lambda: pixels(12))
    labels: np.ndarray[Any, Any] = field(default_factory=lambda: np.arange(12) % 3)
    names: list[str] | None = field(default_factory=lambda: list(FILE_ORDER))


def pixels(count: int, side: int = 4) -> np.ndarray[Any, Any]:
    images = np.random.default_rng(0).integers(0, 256, (count, 3, side, side), dtype=np.uint8)
    images[0, :, 0, 0], images[0, :, 0, 1] = 0, 255
    return images


def png(image: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0))).save(buffer, "PNG")
    return buffer.getvalue()


def _members(given: Given) -> list[tuple[str, bytes]]:
    names = given.names or ["0", "1", "2"]
    pairs = enumerate(zip(given.images, given.labels, strict=False))
    return [(f"{names[label]}/{row:03d}.png", png(image)) for row, (image, label) in pairs]


def folder(path: Path, given: Given) -> Path:
    for name, data in _members(given):
        (path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (path / "set" / name).write_bytes(data)
    return path / "set"


def archive(path: Path, given: Given) -> Path:
    with zipfile.ZipFile(path / "set.zip", "w") as file:
        for name, data in _members(given):
            file.writestr(name, data)
    return path / "set.zip"


def tar(path: Path, given: Given) -> Path:
    import tarfile

    with tarfile.open(path / "set.tar.gz", "w:gz") as file:
        for name, data in _members(given):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            file.addfile(entry, io.BytesIO(data))
    return path / "set.tar.gz"


def parquet(path: Path, given: Given) -> Path:
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is an optional extra")
    from pyarrow import parquet as files

    rows = [{"bytes": png(image), "path": "/etc/hostname"} for image in given.images]
    features: dict[str, Any] = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": given.names}}
    if given.names is None:
        features["label"] = {"_type": "Value", "dtype": "int64"}
    picture = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    schema = pyarrow.schema(
        [("image", picture), ("label", pyarrow.int64())],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )
    columns = {"image": rows, "label": [int(label) for label in given.labels]}
    files.write_table(pyarrow.table(columns, schema=schema), path / "set.parquet")
    return path / "set.parquet"


def npz(path: Path, given: Given) -> Path:
    arrays = {"images": given.images, "labels": given.labels}
    if given.names is not None:
        arrays["classes"] = np.array(given.names)
    np.savez(path / "set.npz", **arrays)
    return path / "set.npz"


def safetensors(path: Path, given: Given) -> Path:
    tensors = {"images": _tensor(given.images), "labels": _tensor(given.labels)}
    metadata = None if given.names is None else {"classes": json.dumps(given.names)}
    save_file(tensors, path / "set.safetensors", metadata)
    return path / "set.safetensors"


def tensors(path: Path, given: Given) -> Path:
    value = {"images": _tensor(given.images), "labels": _tensor(given.labels)}
    torch.save(value if given.names is None else {**value, "classes": given.names}, path / "set.pt")
    return path / "set.pt"


def condensed(path: Path, given: Given) -> Path:
    """As DC and DSA save their sets: without names, with accuracies that are NumPy's numbers."""
    pairs = [[_tensor(given.images), _tensor(given.labels)]]
    torch.save({"data": pairs, "accs_all_exps": {"ConvNet": [np.float64(0.5)]}}, path / "res_DC.pt")
    return path / "res_DC.pt"


def _tensor(array: np.ndarray[Any, Any]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))


Maker = Callable[[Path, Given], Path]
PICTURES: list[Maker] = [folder, archive, tar, parquet]
ARRAYS: list[Maker] = [npz, safetensors, tensors, condensed]
NAMED: list[Maker] = [*PICTURES, npz, safetensors, tensors]
NUMBERED: list[Maker] = [folder, parquet, npz, safetensors, tensors, condensed]


def normalised(images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    mean, std = (np.array(part, np.float32).reshape(-1, 1, 1) for part in (MEAN, STD))
    return ((images.astype(np.float32) / 255 - mean) / std).astype(np.float32)


def imported(path: Path, real: RealSet = REAL, **keys: Any) -> tuple[image_files.ImageSet, Found]:
    block = SamplesGenerator(kind="samples", path=str(path), **keys)
    output = path.parent / "out.safetensors"
    found = read(path, block, real, output, {"classes": json.dumps(real.classes)})
    return image_files.load(output), found


def by_class(images: Any, labels: Any, names: list[str]) -> dict[str, list[bytes]]:
    """The bytes of the images of each class, in a fixed order."""
    found: dict[str, list[bytes]] = {}
    for image, label in zip(images, labels, strict=True):
        found.setdefault(names[int(label)], []).append(np.asarray(image).tobytes())
    return {name: sorted(rows) for name, rows in sorted(found.items())}
