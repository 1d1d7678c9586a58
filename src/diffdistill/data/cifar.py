"""CIFAR-100 (fine labels) and CIFAR-10 from their Python archives.

A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009; https://www.cs.toronto.edu/~kriz/cifar.html
"""

import io
import pickle
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from diffdistill.data import archives
from diffdistill.data.raw import Array, RawData, Split, in_sorted_order
from diffdistill.errors import UserError


@dataclass(frozen=True)
class _Layout:
    folder: str
    train: tuple[str, ...]
    test: str
    meta: str
    labels_key: str
    names_key: str


_LAYOUTS = (
    _Layout("cifar-100-python", ("train",), "test", "meta", "fine_labels", "fine_label_names"),
    _Layout(
        "cifar-10-batches-py", tuple(f"data_batch_{part}" for part in range(1, 6)), "test_batch", "batches.meta",
        "labels", "label_names",
    ),
)  # fmt: skip


def read(path: Path | str) -> RawData:
    """Images uint8 (N, 3, 32, 32) of the .tar.gz or of its unpacked folder, in the archive's order of pictures.

    Raises UserError if a file of the layout is missing, or holds anything but arrays, lists and text.
    """
    path = Path(path)
    contents: dict[str, dict[str, Any]] = {}
    # by folder and name: a stray `train` elsewhere in an archive is not CIFAR's
    places = {f"{layout.folder}/{name}" for layout in _LAYOUTS for name in (*layout.train, layout.test, layout.meta)}

    def place(name: str) -> str:
        return "/".join(PurePosixPath(path.name if path.is_dir() else "", name).parts[-2:])

    for name, data in archives.read(path, lambda name: place(name) in places):
        if place(name) in contents:
            raise UserError(f"{path}: {place(name)} is there twice; fetch it again")
        contents[place(name)] = _unpickled(data, f"{path}: {name}")
    for layout in _LAYOUTS:
        wanted = [f"{layout.folder}/{name}" for name in (*layout.train, layout.test, layout.meta)]
        found = [name for name in wanted if name in contents]
        if found:
            break
    missing = [name for name in wanted if name not in contents]
    if missing:
        wanted_folders = " or ".join(layout.folder for layout in _LAYOUTS)
        what = f"'{missing[0]}' is missing" if found else f"there is no {wanted_folders}"
        raise UserError(f"{path}: {what}; give CIFAR's Python archive as published")
    names = contents[wanted[-1]].get(layout.names_key)
    if not isinstance(names, list):
        raise UserError(f"{path}: {wanted[-1]} has no list '{layout.names_key}'; fetch it again")
    names = [_text(name) for name in names]
    parts = [_pictures(contents.pop(name), layout.labels_key, f"{path}: {name}") for name in wanted[:-1]]
    train_images, train_labels = (
        arrays[0] if len(arrays) == 1 else np.concatenate(arrays) for arrays in zip(*parts[:-1], strict=True)
    )
    test_images, test_labels = parts[-1]
    classes, train_labels = in_sorted_order(names, train_labels, str(path))
    _, test_labels = in_sorted_order(names, test_labels, str(path))
    train, test = Split(train_images, train_labels), Split(test_images, test_labels)
    return RawData(train, test, classes, archives.checksum(path))


def _pictures(content: dict[str, Any], labels_key: str, source: str) -> tuple[Array, Array]:
    data, labels = content.get("data"), content.get(labels_key)
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape[1:] != (3072,):
        raise UserError(f"{source} has no 'data' of 3072 bytes a picture; fetch it again")
    if not isinstance(labels, list) or len(labels) != len(data) or not all(isinstance(one, int) for one in labels):
        raise UserError(f"{source} has no list '{labels_key}' of {len(data)} numbers; fetch it again")
    try:
        return data.reshape(-1, 3, 32, 32), np.array(labels, dtype=np.int64)
    except OverflowError as error:
        raise UserError(f"{source}: a label in '{labels_key}' is no class number; fetch it again") from error


def _text(value: Any) -> str:
    return value.decode("latin1") if isinstance(value, bytes) else str(value)


def _dtype(code: Any, align: Any = False, copy: Any = False) -> np.dtype[Any]:
    # Python 2 stored the two flags as numbers, which NumPy now warns about
    dtype = np.dtype(_text(code), align=bool(align), copy=bool(copy))
    if dtype.kind not in "bui":
        raise pickle.UnpicklingError(f"an array of {dtype}")
    return dtype


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"text in {encoding}")
    return text.encode("latin1")


_reconstruct: Any = np.empty(0).__reduce__()[0]  # what pickles of arrays call; NumPy has moved it about
_KNOWN: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): _dtype,
    ("_codecs", "encode"): _encode,
}


class _Unpickler(pickle.Unpickler):
    """Knows what an array of numbers needs, and nothing else: a pickle can otherwise run any program."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _KNOWN[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}") from None


def _refuse_claims(data: bytes) -> None:
    """The unpickler makes room for as many remembered objects as the highest number given to one."""
    for code, argument, _ in pickletools.genops(data):
        if code.name in ("PUT", "LONG_BINPUT") and int(argument or 0) > len(data):
            raise pickle.UnpicklingError(f"it claims {argument} objects")


def _unpickled(data: bytes, source: str) -> dict[str, Any]:
    try:
        _refuse_claims(data)
        content = _Unpickler(io.BytesIO(data), encoding="bytes").load()
    except Exception as error:  # a hostile or broken pickle can raise anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{source} is not a pickle of arrays, lists and text ({reason}); fetch it again") from error
    if not isinstance(content, dict):
        raise UserError(f"{source} holds no dictionary; fetch it again")
    for value in content.values():
        if isinstance(value, np.ndarray) and value.nbytes > len(data):
            raise UserError(f"{source} claims {value.nbytes} bytes, but has {len(data)}; fetch it again")
    return {_text(key): value for key, value in content.items()}
