"""What a dry run notices of a folder and of a Python file's modules, whatever the date of the path is."""

import os
from pathlib import Path
from typing import Any

import pytest

from diffdistill.errors import UserError
from diffdistill.planning import generators
from tests.data.pictures import put
from tests.planning.conftest import Planner, wildcards
from tests.planning.test_inputs import SAMPLES

SAMPLED = {**SAMPLES, "sample": {"images": 5, "budget_seconds": None}}
PYTHON = {**SAMPLED, "generator": {"kind": "python", "path": "own/gan.py", "name": "Gan"}}
PIPELINE = {**SAMPLED, "generator": {"kind": "pipeline", "path": "theirs", "prompts": {"0": "zero"}}}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def fingerprint(plan_of: Planner, change: dict[str, Any]) -> str:
    return generators.fingerprint(plan_of(x=change), wildcards(experiment="x"))


@pytest.mark.parametrize("change", [SAMPLES, PIPELINE])
def test_a_file_below_a_folder_in_the_folder(plan_of: Planner, change: dict[str, Any]) -> None:
    folder = put(Path("theirs"), "unet/weights.safetensors", "unet/config.json")
    first, date = fingerprint(plan_of, change), folder.stat().st_mtime_ns
    (folder / "unet/config.json").write_text("other")
    second = fingerprint(plan_of, change)
    (folder / "unet/more.json").touch()
    assert folder.stat().st_mtime_ns == date and len({first, second, fingerprint(plan_of, change)}) == 3
    (folder / "unet/.DS_Store").touch()
    os.utime(folder, (1, 1))
    (folder / "unet/more.json").unlink()
    assert fingerprint(plan_of, change) == second


def test_a_file_and_nothing_say_all_by_their_date(plan_of: Planner) -> None:
    assert fingerprint(plan_of, SAMPLES) == fingerprint(plan_of, PYTHON) == ""
    Path("theirs").write_bytes(b"set")
    assert fingerprint(plan_of, SAMPLES) == ""


def test_what_cannot_be_read_is_named(plan_of: Planner) -> None:
    (put(Path("theirs"), "a/0.png") / "a/loop").symlink_to(Path("theirs").resolve())
    with pytest.raises(UserError, match="a link back"):
        fingerprint(plan_of, SAMPLES)


def test_modules_that_a_class_imports(plan_of: Planner) -> None:
    for name, text in {
        "gan.py": "import torch, layers.blocks\ndef late():\n    from helper import one",
        "helper.py": "from deeper import two\nimport gan",
        "deeper.py": "",
        "layers/blocks.py": "from . import norms",
        "layers/norms.py": "",
        "unused.py": "",
    }.items():
        (put(Path("own"), name) / name).write_text(text)
    found = {fingerprint(plan_of, PYTHON)}
    for count, name in enumerate(("helper.py", "deeper.py", "layers/blocks.py", "layers/norms.py"), 2):
        Path("own", name).write_text(f"{Path('own', name).read_text()}\nsomething = 1")
        found.add(fingerprint(plan_of, PYTHON))
        assert len(found) == count, name
    Path("own/unused.py").write_text("something = 1")
    os.utime("own/helper.py", (1, 1))
    assert fingerprint(plan_of, PYTHON) in found


def test_a_text_that_is_not_python_is_left_to_the_job(plan_of: Planner) -> None:
    (put(Path("own"), "gan.py") / "gan.py").write_text("class (")
    assert fingerprint(plan_of, PYTHON) == ""
