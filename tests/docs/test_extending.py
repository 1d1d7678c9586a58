"""The recipes of docs/extending.md, applied to a copy of the package, make what they promise."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs/extending.md").read_text(encoding="utf-8")
MAX_FILES = {"A network": 3, "A solver": 3, "A selection method": 3, "A kind of data set": 3}
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, flags=re.MULTILINE | re.DOTALL))
CHECKS = """
import math, subprocess, numpy as np, torch
from pathlib import Path
from diffdistill import config
from diffdistill.data import readers, selection
from diffdistill.diffusion import solvers, training
from diffdistill.diffusion.denoiser import NetworkDenoiser
from diffdistill.diffusion.labels import LabelSpace
from diffdistill.diffusion.schedule import VPSchedule

model = config.parse_model({"kind": "mlp", "width": 16})
space = LabelSpace(num_classes=2)
denoiser = training.initialise(lambda: NetworkDenoiser(model, labels=space, image_shape=(1, 4, 4)), 0)
recipe = config.Recipe(iterations=5, batch_size=4, learning_rate=0.1)
state = training.State.start(denoiser, recipe)
before = state.emas[0]["layers.0.weight"].clone()
training.train(state, torch.zeros(8, 1, 4, 4, dtype=torch.uint8), torch.arange(8) % 2, recipe, until=5)
assert state.iteration == 5 and not torch.equal(before, denoiser.network.layers[0].weight)

calls = []
def noise_of_a_normal(x, t):  # data of mean 0 and standard deviation 1: the noise in x_t is sigma_t x_t
    calls.append(t)
    return VPSchedule().sigma(t)[:, None, None, None] * x
x = torch.randn(3, 1, 2, 2, dtype=torch.float64)
end = solvers.solve(noise_of_a_normal, x, VPSchedule(), config.Solver(algorithm="euler", order=1, nfe=400))
assert len(calls) == 400 and torch.allclose(end, x, rtol=0.02), end / x  # such data flows nowhere

picked = selection.GREEDY["nearest_to_mean"](np.array([[0.0], [9.0], [4.0], [3.0]]), 2)
assert picked.tolist() == [2, 3]
assert config.Select(method="nearest_to_mean", per_class=2).needs_classifier

np.savez("set.npz", images=np.zeros((4, 5, 5), np.uint8), labels=np.array(["b", "a", "b", "a"]))
source = config.Source(kind="arrays", path="set.npz", validation_per_class=1, test_per_class=1)
raw = readers.read("set.npz", source)
assert raw.classes == ["a", "b"] and raw.train_labels.tolist() == [1, 0, 1, 0]
assert raw.train_images.shape == (4, 1, 5, 5)
"""


def blocks(section: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", section, flags=re.DOTALL)


def apply(folder: Path, section: str) -> set[str]:
    """Write the new files of a recipe and change others; the paths that it touches."""
    touched = set()
    for text in blocks(section, "python"):
        path = text.split("\n", 1)[0].removeprefix("# ")
        (folder / path).write_text(text, encoding="utf-8")
        touched.add(path)
    for text in blocks(section, "diff"):
        head, *lines = text.splitlines()
        path = folder / head.removeprefix("--- ")
        touched.add(head.removeprefix("--- "))
        content, added = path.read_text(encoding="utf-8"), list[str]()
        anchor = ""
        for line in lines:
            mark, rest = line[:1], line[1:]
            if mark == "+":
                added.append(rest)
                continue
            content = insert(content, anchor, added, before=rest if mark == "-" and not anchor else "")
            added = []
            assert content.count(f"{rest}\n") == 1, f"{path}: {rest}"
            if mark == "-":
                content, anchor = content.replace(f"{rest}\n", "\0"), "\0"
            else:
                anchor = f"{rest}\n"
        content = insert(content, anchor, added)
        path.write_text(content.replace("\0", ""), encoding="utf-8")
    return touched


def insert(content: str, anchor: str, added: list[str], before: str = "") -> str:
    """The content with lines after the anchor, in its place where it is a removed line, or before another line."""
    text = "".join(f"{line}\n" for line in added)
    if not anchor:
        return content.replace(f"{before}\n", f"{text}{before}\n", 1) if text else content
    return content.replace(anchor, ("" if anchor == "\0" else anchor) + text, 1)


def test_each_recipe_touches_few_files_and_all_of_them_work(tmp_path: Path) -> None:
    shutil.copytree(REPOSITORY / "src", tmp_path / "src", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    for name, limit in MAX_FILES.items():
        assert len(apply(tmp_path, SECTIONS[name])) <= limit
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "src")}
    run = subprocess.run([sys.executable, "-c", CHECKS], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


@pytest.mark.slow
def test_the_generator_is_sampled_and_evaluated_by_its_command(tmp_path: Path) -> None:
    from tests.workflow.conftest import copy_project

    folder, section = copy_project(tmp_path / "project"), SECTIONS["A generator"]
    (yaml,), (commands,) = blocks(section, "yaml"), blocks(section, "bash")
    (program, example, place), command = (line.split() for line in commands.splitlines())
    assert program == "cp"
    shutil.copy(REPOSITORY / example, folder / place)
    assert len((folder / Path(example).name).read_text(encoding="utf-8").splitlines()) <= 22
    (folder / "gaussians.yaml").write_text(
        yaml.replace("steps: 1300", "steps: 20").replace("images: 2000", "images: 99")
    )
    run = subprocess.run(
        [sys.executable, "-m", "snakemake", *command[1:]], cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert (folder / "results/gaussians/accuracy.csv").read_text().count("gaussians,distilled,99") == 3
