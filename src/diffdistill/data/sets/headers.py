"""The header of a file of images: what can be known of it, and added to it, without loading the images."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from torch import Tensor

from diffdistill.data import image_files
from diffdistill.data.sets.classes import RealSet
from diffdistill.runtime import files


def _header(file: IO[bytes]) -> dict[str, Any]:
    return dict(json.loads(file.read(int.from_bytes(file.read(8), "little"))))


def real_set(path: Path) -> tuple[RealSet, dict[str, str]]:
    """What a finished set has to fit, of the real train split in `path`, and the split's metadata.

    Raises UserError if the file is missing, broken, or holds no labelled images.
    """
    _, metadata = image_files.load_labels_and_metadata(path)
    with path.open("rb") as file:
        _, *shape = _header(file)["images"]["shape"]
    lists = {
        key: json.loads(metadata[key]) for key in ("classes", "class_titles", "published_order") if key in metadata
    }
    channels, height, width = shape
    real = RealSet(lists["classes"], (channels, height, width), lists.get("class_titles"), lists.get("published_order"))
    return real, metadata


def metadata_of(real: Mapping[str, str]) -> dict[str, str]:
    """What samples for a data set say of it: its classes and origin, from the real train split's metadata."""
    kept = ("classes", "class_titles", "published_order")
    return {**{key: real[key] for key in kept if key in real}, **image_files.origin_of(real)}


def add_tensor(path: Path, name: str, values: Tensor) -> None:
    """Append float32 values to a safetensors file of this workflow; what is there is copied, not loaded."""
    with path.open("rb") as source:
        header = _header(source)
        end = max(entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__")
        gap = -end % 8
        if gap:
            header["padding_before_" + name] = {"dtype": "U8", "shape": [gap], "data_offsets": [end, end + gap]}
        offsets = [end + gap, end + gap + values.nbytes]
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": offsets}
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        with files.replacing(path) as temporary, temporary.open("wb") as copy:
            copy.write(len(text).to_bytes(8, "little") + text)
            shutil.copyfileobj(source, copy, 1 << 20)
            copy.write(b"\0" * gap + values.contiguous().numpy().tobytes())
