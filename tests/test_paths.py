"""Every public function of the library that takes a path takes it as text too."""

import importlib
import inspect
from pathlib import Path
from types import ModuleType

import pytest
import torch

from diffdistill.runtime import tensor_files
from tests.test_architecture import MODULES, name_of

LIBRARY = ("runtime", "data", "diffusion", "generators", "classify", "metrics", "refining")
TAKES_A_PATH_OF_ITS_CALLER = {
    "data.archives", "data.cifar", "data.digits", "data.folder", "data.idx", "data.layout", "data.tinyimagenet",
    "data.fetching", "data.names", "data.tree", "data.decoding", "data.raw", "data.identity", "data.groups",
}  # fmt: skip
"""Parts of the readers behind `data.readers.read`, which takes text."""


def public(module: ModuleType) -> list[tuple[str, inspect.Signature]]:
    found = []
    for name, member in vars(module).items():
        if name.startswith("_") or getattr(member, "__module__", None) != module.__name__:
            continue
        if inspect.isfunction(member):
            found.append((name, inspect.signature(member)))
    return found


@pytest.mark.parametrize("path", [path for path in MODULES if name_of(path).startswith(LIBRARY)], ids=name_of)
def test_paths_may_be_text(path: Path) -> None:
    name = name_of(path)
    if name in TAKES_A_PATH_OF_ITS_CALLER or name.startswith("data.sets."):
        return
    for function, signature in public(importlib.import_module(f"diffdistill.{name}")):
        for parameter in signature.parameters.values():
            assert parameter.annotation is not Path, f"{name}.{function}({parameter.name})"


def test_a_path_that_is_text_is_read(tmp_path: Path) -> None:
    path = str(tmp_path / "x.safetensors")
    tensor_files.save(path, {"a": torch.arange(3)}, {"b": "c"})
    tensors, metadata = tensor_files.load(path)
    assert tensors["a"].tolist() == [0, 1, 2] and metadata == {"b": "c"}
