"""Sets of picture files: one folder per class, a zip or tar of it, and Parquet as Hugging Face's `datasets` has it."""

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from diffdistill.config.generator import SamplesGenerator
from diffdistill.data import folder
from diffdistill.data.decoding import Failures, decode
from diffdistill.data.raw import Array
from diffdistill.data.sets import contents
from diffdistill.data.sets.contents import Contents
from diffdistill.errors import UserError

_IMAGE_COLUMNS = ("image", "img", "images", "picture")
_LABEL_COLUMNS = ("label", "labels", "class", "target", "fine_label")
SHARD = re.compile(r"(.+)-\d+-of-\d+(?:-.*)?\.parquet")
"""As `datasets` names the files of a split: train-00000-of-00002.parquet."""
ROWS = 256

logger = logging.getLogger(__name__)


def read_folder(path: Path, block: SamplesGenerator) -> Contents:
    """The train images, whose class names are the folders'. Raises UserError as `folder.read` does."""
    raw = folder.read(path)
    if left := [f"{name} ({len(split.labels)} images)" for name, split in raw.splits.items() if name != "train"]:
        logger.warning("%s: only its train images are the set; not read: %s", path, ", ".join(left))
    shape = raw.train_images.shape
    contents.refuse_claims(path, int(np.prod(shape)))
    rows = contents.rows_per_block(shape, 1)

    def blocks() -> Iterator[Array]:
        for first in range(0, shape[0], rows):
            yield raw.train_images[np.arange(first, min(first + rows, shape[0]))]

    return Contents("folder", shape, np.dtype(np.uint8), blocks, raw.train_labels, raw.classes)


def parquet_files(path: Path) -> list[Path]:
    """The file itself, or the shards in a folder, by name. Raises UserError if they are of several splits."""
    if not path.is_dir():
        return [path]
    shards = sorted(path.glob("*.parquet"))
    splits = sorted({found[1] for shard in shards if (found := SHARD.fullmatch(shard.name))})
    if len(splits) > 1:
        raise UserError(
            f"{path}: shards of several splits, {', '.join(splits)}; move those of one to a folder of its own"
        )
    return shards


def read_parquet(path: Path, block: SamplesGenerator) -> Contents:
    """A file or a folder of shards with a column of pictures and one of labels.

    Pictures are encoded bytes, alone or as `datasets` writes them beside a path, which is never opened. Class names are
    those of the file's features, or the labels themselves where these are text. Raises UserError if pyarrow is not
    installed, a file is broken, or which columns are meant is not clear.
    """
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise UserError(f"{path}: needs pyarrow to be read; pip install 'diffdistill[export]'") from error
    broken = (ArrowException, OSError, ValueError, KeyError, TypeError)
    shards = parquet_files(path)
    try:
        opened = [parquet.ParquetFile(shard, memory_map=False) for shard in shards]
        schema = opened[0].schema_arrow
        for shard, other in zip(shards, opened, strict=True):
            if other.schema_arrow.names != schema.names:
                raise ValueError(f"{shard.name} has other columns than {shards[0].name}")
        features = _features(schema.metadata)
        shapes: dict[str, tuple[int, ...]] = {name: () for name in schema.names}
        image_column = contents.find(path, shapes, block.images_key, _IMAGE_COLUMNS, "images")
        labels, names = None, None
        if block.labels is None:
            label_column = contents.find(path, shapes, block.labels_key, _LABEL_COLUMNS, "labels")
            labels = np.concatenate([_labels(file, label_column) for file in opened])
            names = features.get(label_column)
        count = sum(file.metadata.num_rows for file in opened)
        first = next(_pictures(opened[:1], image_column, path, 1)) if count else np.empty((0, 1, 0, 0), np.uint8)
    except FileNotFoundError:
        raise
    except UserError:
        raise
    except broken as error:
        reason = " ".join(str(error).split())[:150] or type(error).__name__
        raise UserError(f"{path}: not a whole Parquet file of pictures and labels ({reason}); get it again") from error
    shape = (count, *first.shape[1:])
    contents.refuse_claims(path, int(np.prod(shape)))
    return Contents(
        "parquet", shape, np.dtype(np.uint8), lambda: _pictures(opened, image_column, path, ROWS), labels, names
    )


def _features(metadata: dict[bytes, bytes] | None) -> dict[str, list[str]]:
    """Names of the labels of each column that `datasets` says has some."""
    info = json.loads((metadata or {}).get(b"huggingface", b"{}"))
    features = info.get("info", {}).get("features", {}) if isinstance(info, dict) else {}
    found = {}
    for column, feature in features.items():
        names = feature.get("names") if isinstance(feature, dict) else None
        if isinstance(names, list) and all(isinstance(name, str) for name in names):
            found[str(column)] = names
    return found


def _labels(file: Any, column: str) -> Array:
    values = file.read(columns=[column]).column(0)
    if values.null_count:
        raise ValueError(f"{values.null_count} rows have no '{column}'")
    listed = values.to_pylist()
    array = np.array(listed) if listed else np.empty(0, np.int64)
    if array.dtype.kind not in "buifU":
        raise ValueError(f"'{column}' holds {values.type}, neither numbers nor names")
    return array


def _pictures(opened: list[Any], column: str, path: Path, rows: int) -> Iterator[Array]:
    """uint8 (B, C, H, W). Raises UserError naming the rows that are no whole pictures, or have another size."""
    failures, row, shape = Failures(), 0, None
    for file in opened:
        for batch in file.iter_batches(batch_size=rows, columns=[column]):
            decoded = []
            for cell in batch.column(0).to_pylist():
                data = cell.get("bytes") if isinstance(cell, dict) else cell
                try:
                    if not isinstance(data, bytes):
                        raise ValueError("no encoded picture in it" if cell is not None else "empty")
                    picture = decode(data)
                    shape = shape or picture.shape
                    if picture.shape[1:] != shape[1:]:
                        raise ValueError(f"{picture.shape[2]}x{picture.shape[1]}, others {shape[2]}x{shape[1]}")
                    decoded.append(picture)
                except ValueError as error:
                    failures.add(f"row {row}", error)
                row += 1
            if decoded:
                channels = max(len(picture) for picture in decoded)
                yield np.stack([np.broadcast_to(picture, (channels, *picture.shape[1:])) for picture in decoded])
    failures.raise_if_any(path)
