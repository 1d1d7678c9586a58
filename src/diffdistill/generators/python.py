"""A generator that is a class in a user's file. Its code runs where `load` and `generate` are called, nowhere else."""

import importlib.util
import json
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from diffdistill.config.generator import PythonGenerator
from diffdistill.data.image_files import ImageSet
from diffdistill.errors import UserError
from diffdistill.runtime import files


class PythonFileGenerator:
    """Calls a user's object and checks what it returns; the same images for the same seed are up to the user."""

    def __init__(self, path: Path, made: Any, block: PythonGenerator, train: ImageSet) -> None:
        """made: the user's object."""
        self._path, self._made, self._block, self._digest = path, made, block, files.sha256(path)
        self.num_classes = len(train.classes)
        _, channels, height, width = train.images.shape
        self.image_shape: tuple[int, int, int] = (channels, height, width)

    def generate(self, first: int, labels: Tensor) -> Tensor:
        """uint8 (B, C, H, W) on the CPU; image `first + i` has the class labels[i], int64 (B,).

        Raises UserError naming file and line if the user's code fails, and naming the file if it returns anything else.
        """
        with _named(self._path, f"{self._block.name}.generate({first}, {len(labels)} labels)"):
            images = self._made.generate(first, labels.clone())
        wanted = f"uint8 {(len(labels), *self.image_shape)}"
        if isinstance(images, np.ndarray) and images.dtype == np.uint8:
            images = torch.from_numpy(np.ascontiguousarray(images))
        if not isinstance(images, Tensor):
            kind = f"an array of {images.dtype}" if isinstance(images, np.ndarray) else type(images).__name__
            raise self._wrong(f"returns {kind}, not a tensor of {wanted}")
        if images.dtype != torch.uint8 or tuple(images.shape) != (len(labels), *self.image_shape):
            found = f"{str(images.dtype).removeprefix('torch.')} {tuple(images.shape)}"
            raise self._wrong(f"returns {found}, not {wanted}")
        return images.detach().cpu().clone(memory_format=torch.contiguous_format)  # the user may reuse the memory

    def describe(self, images: int) -> dict[str, Any]:
        """File, class, arguments and bytes; below `own` what the user's `describe`, if there is one, returns.

        Raises UserError if that fails or is no JSON.
        """
        own = None
        if hasattr(self._made, "describe"):
            with _named(self._path, f"{self._block.name}.describe()"):
                own = self._made.describe()
            try:
                json.dumps(own, allow_nan=False)
            except (TypeError, ValueError) as error:
                raise UserError(f"{self._path}: {self._block.name}.describe() is no JSON ({error})") from error
        return {
            "kind": "python",
            "file": self._path.name,
            "sha256": self._digest,
            "name": self._block.name,
            "arguments": self._block.arguments,
            "bytes": self._path.stat().st_size,
            "own": own,
        }

    def _wrong(self, what: str) -> UserError:
        code = type(self._made).generate.__code__ if hasattr(type(self._made).generate, "__code__") else None
        line = f":{code.co_firstlineno}" if code is not None and Path(code.co_filename) == self._path else ""
        return UserError(f"{self._path}{line}: {self._block.name}.generate {what}; correct it there")


def load(block: PythonGenerator, train: ImageSet, *, seed: int) -> PythonFileGenerator:
    """The generator that the class makes of the real train split and a seed: `Class(train, seed, **arguments)`.

    The file may import what lies beside it. Raises UserError naming file and line if the file is missing, cannot be
    imported, has no such class, or the class cannot be made.
    """
    path = Path(block.path).resolve()
    if not path.is_file():
        raise UserError(f"{path}: no such file; give the place of the class")
    spec = importlib.util.spec_from_file_location(f"user_generator_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UserError(f"{path}: no Python file; its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # last, so that a file beside it hides no package
    with _named(path, "the file"):
        spec.loader.exec_module(module)
    found = getattr(module, block.name, None)
    if not isinstance(found, type) or not callable(getattr(found, "generate", None)):
        classes = [name for name, one in vars(module).items() if isinstance(one, type) and one.__module__ == spec.name]
        listed = ", ".join(classes) or "none"
        raise UserError(f"{path}: no class {block.name} with a method generate; classes in it: {listed}")
    with _named(path, f"{block.name}(train, seed)"):
        made = found(train, seed, **block.arguments)
    return PythonFileGenerator(path, made, block, train)


@contextmanager
def _named(path: Path, what: str) -> Iterator[None]:
    """An error of the user's code in one line, with the last line of the file that took part in it."""
    try:
        yield
    except (Exception, SystemExit) as error:
        if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
            raise  # the machine's
        if isinstance(error, SyntaxError) and error.filename == str(path):
            line = error.lineno
        else:
            frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
            line = frames[-1].lineno if frames else None
        place = f"{path}:{line}" if line is not None else str(path)
        reason = " ".join(str(error).split())
        raise UserError(f"{place}: {what} fails with {type(error).__name__}: {reason[:300]}") from error
