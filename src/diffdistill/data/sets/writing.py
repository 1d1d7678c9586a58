"""A further tensor in a file of images that was streamed to disk."""

import json
import shutil
from pathlib import Path

from torch import Tensor

from diffdistill.runtime import files


def add_tensor(path: Path, name: str, values: Tensor) -> None:
    """Append float32 values to a safetensors file of this workflow; what is there is copied, not loaded."""
    with path.open("rb") as source:
        header = json.loads(source.read(int.from_bytes(source.read(8), "little")))
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
