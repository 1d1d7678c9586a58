"""`make install` and `make clean`: which environment stays, which is made again, and what is never removed."""

import base64
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
FAKE_VENV = """
import json, os, pathlib, stat, sys
if sys.argv[1:3] == ["-m", "venv"]:
    folder = pathlib.Path(sys.argv[-1])
    (folder / "bin").mkdir(parents=True, exist_ok=True)
    (folder / "stale").unlink(missing_ok=True)
    (folder / "bin/python").write_text(pathlib.Path(__file__).read_text())
    (folder / "bin/python").chmod(0o755)
elif sys.argv[1:3] == ["-m", "pip"]:
    folder = pathlib.Path(__file__).parents[1]
    given = sys.argv[3:]
    if "--requirement" in given:
        given.append(pathlib.Path(given[given.index("--requirement") + 1]).read_text())
    with pathlib.Path(os.environ["CALLS"]).open("a") as calls:
        calls.write(json.dumps(given) + "\\n")
    sys.exit(int(os.environ.get("PIP_FAILS", "0")))
else:
    print("{}.{}".format(*sys.version_info[:2]))
"""


class Folder:
    """A copy of what `make install` needs, with an interpreter whose venv and pip only note what they were asked."""

    def __init__(self, path: Path) -> None:
        self.path, self.calls = path, path.parent / "calls"
        shutil.copytree(REPOSITORY / "envs", path / "envs", ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("Makefile", "pyproject.toml"):
            shutil.copy(REPOSITORY / name, path / name)

    def install(self, *arguments: str, fails: bool = False, script: str = "envs/install.py") -> tuple[int, str]:
        """Exit code and output of envs/install.py, and the calls of pip in `self.calls`."""
        self.calls.write_text("")
        fake = self.path.parent / "python-fake"
        fake.write_text(f"#!{sys.executable}\n{FAKE_VENV}")
        fake.chmod(0o755)
        code = f"import sys; sys._base_executable = {str(fake)!r}; sys.path.insert(0, 'envs'); import install"
        command = [sys.executable, "-c", f"{code}; sys.exit(install.main(sys.argv[1:]))", *arguments]
        environment = {**os.environ, "CALLS": str(self.calls), "PIP_FAILS": str(int(fails))}
        run = subprocess.run(command, cwd=self.path, capture_output=True, text=True, env=environment)
        return run.returncode, run.stdout + run.stderr

    def asked(self) -> list[list[str]]:
        return [json.loads(line) for line in self.calls.read_text().splitlines()]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "project")


def test_everything_is_installed_by_its_hash(folder: Folder) -> None:
    assert folder.install()[0] == 0
    build_tool, lock, package = folder.asked()
    assert "--require-hashes" in build_tool and build_tool[-1].startswith("setuptools==")
    assert "--require-hashes" in lock and lock[-1].count("==") >= 130 and "nvidia-cublas==" in lock[-1]
    assert package[-2:] == ["--editable", "."] and all("--no-deps" in call for call in folder.asked())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere torch has no CUDA build to leave out")
def test_without_cuda_no_package_of_it_is_asked_for(folder: Folder) -> None:
    assert folder.install("--torch", "cpu", "--torch-index", "file:///wheels")[0] == 0
    _, lock, torch, _ = folder.asked()
    assert not any(name in lock[-1] for name in ("nvidia-", "cuda-", "triton==", "\ntorch==", "torchvision=="))
    assert "numpy==" in lock[-1] and torch[-4:-2] == ["--index-url", "file:///wheels"]
    assert [word.split("==")[0] for word in torch[-2:]] == ["torch", "torchvision"]
    assert folder.install()[0] == 0 and folder.asked() == []  # what is there stays
    assert "made again: torch" in folder.install("--torch", "default")[1]


def test_a_whole_environment_stays_and_a_changed_lock_updates_it(folder: Folder) -> None:
    folder.install()
    assert folder.install() == (0, "") and folder.asked() == []
    (folder.path / ".venv/kept").touch()
    with (folder.path / "envs/requirements.lock").open("a") as lock:
        lock.write("further==1 --hash=sha256:00\n")
    folder.install()
    assert len(folder.asked()) == 3 and (folder.path / ".venv/kept").exists()


def test_a_try_that_failed_does_not_block_the_next(folder: Folder) -> None:
    code, output = folder.install(fails=True)
    assert code == 2 and "repeat the command" in output and not (folder.path / ".venv/installed.json").exists()
    assert folder.install()[0] == 0 and len(folder.asked()) == 3
    (folder.path / ".venv/bin/python").unlink()
    assert folder.install()[0] == 0 and (folder.path / ".venv/bin/python").exists()
    (folder.path / ".venv/installed.json").write_text("{")
    assert folder.install()[0] == 0 and len(folder.asked()) == 3


def test_a_copied_folder_gets_an_environment_of_its_own(folder: Folder) -> None:
    folder.install()
    shutil.copytree(folder.path, folder.path.parent / "copy")
    folder.path = folder.path.parent / "copy"
    code, output = folder.install()
    assert code == 0 and "made again: folder" in output and len(folder.asked()) == 3


def test_another_interpreter_makes_it_again_only_if_it_is_asked_for(folder: Folder) -> None:
    folder.install()
    stamp = json.loads((folder.path / ".venv/installed.json").read_text())
    (folder.path / ".venv/installed.json").write_text(json.dumps({**stamp, "interpreter": "/other/python3.11"}))
    assert folder.install("--any-python") == (0, "") and folder.asked() == []
    assert "made again: interpreter" in folder.install()[1]


def test_too_old_a_python_is_named_before_anything_is_made(folder: Folder) -> None:
    code = "import sys; sys.version_info = (3, 10, 9); sys.path.insert(0, 'envs'); import install"
    command = [sys.executable, "-c", f"{code}; sys.exit(install.main([]))"]
    run = subprocess.run(command, cwd=folder.path, capture_output=True, text=True)
    assert run.returncode == 2 and not (folder.path / ".venv").exists()
    assert run.stderr == "error: Python 3.10 found, 3.11 or newer needed; make demo PYTHON=python3.12\n"


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_clean_removes_what_rules_made_and_nothing_else(folder: Folder) -> None:
    long = "data/digits/" + "x" * 200 + ".safetensors"
    made = ["data/digits/train.safetensors", "data/digits/classifier/a_1.safetensors", long, "results/digits/fid.csv"]
    kept = ["data/mine/cats/1.png", "data/digits.zip", "data/digits/test.safetensors", "data/raw/mine/set.zip"]
    others = ["logs/a.log", "results/README.md", "results/report.html", ".snakemake/log/1.log", "notes.txt"]
    for name in [*made, *kept, *others]:
        (folder.path / name).parent.mkdir(parents=True, exist_ok=True)
        (folder.path / name).touch()
    for name in [*made, "data/raw/mine/set.zip", "../calls"]:
        folder.calls.touch()
        encoded = base64.urlsafe_b64encode(name.encode()).decode()
        parts = [f"@{encoded[:200]}", encoded[200:]] if len(encoded) > 200 else [encoded]
        record = folder.path.joinpath(".snakemake/metadata", *parts)
        record.parent.mkdir(parents=True, exist_ok=True)
        record.touch()
    subprocess.run(["make", "clean", f"PYTHON={sys.executable}"], cwd=folder.path, check=True, capture_output=True)
    assert not any((folder.path / name).exists() for name in [*made, "logs", ".snakemake", "results/report.html"])
    assert all((folder.path / name).exists() for name in [*kept, "results/README.md", "notes.txt"])
    assert not (folder.path / "data/digits/classifier").exists() and folder.calls.exists()
