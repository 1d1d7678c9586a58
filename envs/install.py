"""Make the virtual environment of this folder from envs/requirements.lock, or leave it if it is as it should be.

Any Python from 3.6 on can read this file, so that one that is too old is named instead of failing on its syntax.
"""

import argparse
import hashlib
import json
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

OLDEST = (3, 11)
LINUX = sys.platform.startswith("linux")
ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "envs" / "requirements.lock"
CUDA = re.compile(r"(nvidia-|cuda-|triton$)")
"""Names of packages that only torch's CUDA build on Linux needs: gigabytes."""
TORCH = ("torch", "torchvision")
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
"""PyTorch's own index of CPU builds for Linux: PyPI has only CUDA builds for it."""


class InstallError(Exception):
    """One line for the person who installs."""


def requirements(text: str) -> "dict[str, str]":
    """The lock as {name: lines}, hashes included."""
    found = {}
    for block in re.split(r"\n(?=[A-Za-z0-9])", "\n" + text):
        named = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)==", block)
        if named:
            found[named.group(1)] = block.strip() + "\n"
    return found


def version(lines: str) -> str:
    """The locked version of one requirement."""
    return re.search(r"==([^\s;\\]+)", lines).group(1)


def wanted_stamp(torch: str) -> "dict[str, str]":
    """What decides whether an environment can stay: its folder, its interpreter, and what was installed."""
    return {
        "folder": str(ROOT),
        "interpreter": str(Path(getattr(sys, "_base_executable", None) or sys.executable).resolve()),
        "python": "{}.{}".format(*sys.version_info[:2]),
        "torch": torch,
        "lock": hashlib.sha256(LOCK.read_bytes()).hexdigest(),
        "project": hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest(),
    }


def read_stamp(venv: Path) -> "dict[str, str] | None":
    """The stamp of a whole environment; nothing for one that is absent, half made or damaged."""
    try:
        stamp = json.loads((venv / "installed.json").read_text())
        out = [str(venv / "bin" / "python"), "-c", "import sys; print('{}.{}'.format(*sys.version_info[:2]))"]
        runs = subprocess.run(out, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
        return stamp if runs.stdout.decode().strip() == stamp["python"] else None
    except (OSError, ValueError, KeyError, TypeError, subprocess.CalledProcessError):
        return None


def pip(venv: Path, *arguments: str) -> None:
    """Run the environment's pip; its own messages say what went wrong."""
    command = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps", *arguments]
    if subprocess.call(command, cwd=str(ROOT)):
        raise InstallError("not installed: see pip's message above, then repeat the command")


def create(venv: Path) -> None:
    """An empty environment, in place of whatever was there."""
    interpreter = wanted_stamp("")["interpreter"]
    if subprocess.call([interpreter, "-m", "venv", "--clear", str(venv)]):
        raise InstallError(
            f"{interpreter} cannot make a virtual environment; install its venv module "
            "(Debian: apt install python3-venv), then repeat the command"
        )


def install(venv: Path, torch: str, index: str) -> None:
    """Everything of the lock by its hashes, then this package."""
    locked = requirements(LOCK.read_text())
    apart = torch == "cpu" and LINUX
    kept = {name: lines for name, lines in locked.items() if not (apart and (CUDA.match(name) or name in TORCH))}
    chosen = venv / "requirements.txt"
    chosen.write_text(kept["setuptools"])
    pip(venv, "--require-hashes", "--requirement", str(chosen))  # builds what has no wheel, and this package
    chosen.write_text("".join(kept.values()))
    pip(venv, "--require-hashes", "--no-build-isolation", "--requirement", str(chosen))
    if apart:
        pip(venv, "--index-url", index, *[name + "==" + version(locked[name]) for name in TORCH])
    pip(venv, "--no-build-isolation", "--editable", ".")


def ensure(venv: Path, torch: str, index: str, any_python: bool) -> None:
    """Make the environment if it is not as it should be; from the beginning unless only the lock changed."""
    found = read_stamp(venv)
    wanted = wanted_stamp(torch or (found or {}).get("torch", "default"))
    if found and any_python:
        wanted.update(interpreter=found.get("interpreter"), python=found.get("python"))
    if found == wanted:
        return
    changed = ["not whole"]
    if found:
        changed = [key for key in ("folder", "interpreter", "torch") if found.get(key) != wanted[key]]
    if changed and sys.version_info[:2] < OLDEST:
        version_found, oldest = "{}.{}".format(*sys.version_info[:2]), "{}.{}".format(*OLDEST)
        raise InstallError(f"Python {version_found} found, {oldest} or newer needed; make demo PYTHON=python3.12")
    stamp = venv / "installed.json"
    with suppress(FileNotFoundError):
        stamp.unlink()  # a try that fails leaves no stamp, and the next one starts from the beginning
    if changed:
        if venv.exists():
            print("{} is made again: {}".format(venv.name, ", ".join(changed)))
        create(venv)
    if wanted["torch"] == "default" and LINUX and not list(Path("/dev").glob("nvidia*")):
        print("no NVIDIA GPU seen: `make install TORCH=cpu` saves gigabytes of CUDA libraries")
    install(venv, wanted["torch"], index)
    half = venv / "installed.json.new"
    half.write_text(json.dumps(wanted, indent=1) + "\n")
    half.replace(stamp)


def main(argv: "list[str] | None" = None) -> int:
    """Parse the arguments; 0 if the environment is as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--venv", default=".venv")
    parser.add_argument("--torch", default="", help="default, or cpu: no CUDA; without it, what is there stays")
    parser.add_argument("--torch-index", default=CPU_INDEX, help="where the CPU builds for Linux are")
    parser.add_argument("--any-python", action="store_true", help="keep an environment made by another interpreter")
    arguments = parser.parse_args(argv)
    try:
        if arguments.torch not in ("", "default", "cpu"):
            raise InstallError(f"TORCH={arguments.torch}: write TORCH=cpu, TORCH=default, or leave it out")
        ensure(ROOT / arguments.venv, arguments.torch, arguments.torch_index, arguments.any_python)
    except InstallError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
