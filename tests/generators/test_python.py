"""A user's class generates; whatever is wrong with it is said in one line with its file."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from diffdistill.config.generator import PythonGenerator
from diffdistill.data import digits
from diffdistill.data.image_files import ImageSet
from diffdistill.errors import UserError
from diffdistill.generators import python

TRAIN = ImageSet(torch.arange(6 * 16, dtype=torch.uint8).reshape(6, 1, 4, 4), torch.arange(6) % 2, ["a", "b"], {})
EXAMPLE = Path(__file__).parents[2] / "docs/gaussians.py"
HEAD = "import torch\nimport numpy as np\nclass Mine:\n    def __init__(self, train, seed, shade=7):\n"
SOUND = HEAD + "        self.shade = shade\n    def generate(self, first, labels):\n"


def loaded(folder: Path, source: str, name: str = "Mine", **arguments: Any) -> python.PythonFileGenerator:
    path = folder / "mine.py"
    path.write_text(source)
    block = PythonGenerator(kind="python", path=str(path), name=name, arguments=arguments)
    return python.load(block, TRAIN, seed=0)


@pytest.mark.parametrize("kind", ["torch.full", "np.full"])
def test_a_class_generates(kind: str, tmp_path: Path) -> None:
    dtype = kind.split(".")[0] + ".uint8"
    made = loaded(
        tmp_path, SOUND + f"        return {kind}((len(labels), 1, 4, 4), self.shade, dtype={dtype})\n", shade=9
    )
    assert made.num_classes == 2 and made.image_shape == (1, 4, 4)
    images = made.generate(5, torch.tensor([0, 1, 0]))
    assert images.dtype == torch.uint8 and images.shape == (3, 1, 4, 4) and (images == 9).all()
    described = made.describe(1)
    assert described["kind"] == "python" and described["arguments"] == {"shade": 9} and described["own"] is None
    assert described["bytes"] == (tmp_path / "mine.py").stat().st_size and json.dumps(described)


def test_memory_that_the_class_reuses_is_not_shared(tmp_path: Path) -> None:
    source = SOUND + (
        "        self.room = getattr(self, 'room', torch.zeros(2, 1, 4, 4, dtype=torch.uint8))\n"
        "        labels += 1\n"
        "        return self.room.fill_(first)\n"
    )
    made, labels = loaded(tmp_path, source), torch.tensor([0, 1])
    before = made.generate(1, labels)
    made.generate(2, labels)
    assert (before == 1).all() and labels.tolist() == [0, 1]


def test_the_file_may_import_what_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "beside_the_generator.py").write_text("SHADE = 3\n")
    source = "from dataclasses import dataclass\nfrom beside_the_generator import SHADE\n" + SOUND
    made = loaded(tmp_path, source + "        return torch.full((len(labels), 1, 4, 4), SHADE).to(torch.uint8)\n")
    assert (made.generate(0, torch.tensor([0])) == 3).all()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import torch\nclass Mine\n", r"mine.py:2: the file fails with SyntaxError"),
        ("\n\nimport no_such_module\n", r"mine.py:3: the file fails with ModuleNotFoundError: No module named"),
        ("import sys\nsys.exit(3)\n", r"mine.py:2: the file fails with SystemExit"),
        ("class Other: pass\n", r"mine.py: no class Mine with a method generate; classes in it: Other"),
        ("class Mine: pass\n", r"no class Mine with a method generate; classes in it: Mine"),
        ("Mine = 3\n", r"no class Mine with a method generate; classes in it: none"),
        (HEAD + "        1 / 0\n    def generate(self): pass\n", r"mine.py:5: Mine\(train, seed\) fails"),
        ("class Mine:\n    def generate(self, first, labels): pass\n", r"Mine\(train, seed\) fails with TypeError"),
    ],
    ids=["syntax", "import", "exit", "another class", "no method", "no class", "making", "no arguments"],
)  # fmt: skip
def test_files_that_are_no_generator(source: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said) as caught:
        loaded(tmp_path, source)
    assert "\n" not in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    for path in (tmp_path / "none.py", tmp_path):
        with pytest.raises(UserError, match="no such file"):
            python.load(PythonGenerator(kind="python", path=str(path), name="Mine"), TRAIN, seed=0)
    (tmp_path / "mine.txt").write_text(SOUND)
    with pytest.raises(UserError, match=r"must end in \.py"):
        python.load(PythonGenerator(kind="python", path=str(tmp_path / "mine.txt"), name="Mine"), TRAIN, seed=0)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return None", r"mine.py:6: Mine.generate returns NoneType, not a tensor of uint8 \(2, 1, 4, 4\)"),
        ("return torch.zeros(2, 1, 4, 4)", r"returns float32 \(2, 1, 4, 4\), not uint8"),
        ("return np.zeros((2, 1, 4, 4))", "returns an array of float64"),
        ("return torch.zeros(3, 1, 4, 4).byte()", r"returns uint8 \(3, 1, 4, 4\), not uint8 \(2, 1, 4, 4\)"),
        ("return torch.zeros(2, 4, 4, 1).byte()", r"returns uint8 \(2, 4, 4, 1\)"),
        ("return labels[5]", r"mine.py:7: Mine.generate\(0, 2 labels\) fails with IndexError"),
        ("raise SystemExit", r"mine.py:7: .* fails with SystemExit"),
    ],
    ids=["nothing", "floats", "an array of floats", "too many", "channels last", "an error", "exit"],
)
def test_what_is_no_set_of_images(body: str, said: str, tmp_path: Path) -> None:
    made = loaded(tmp_path, SOUND + f"        {body}\n")
    with pytest.raises(UserError, match=said) as caught:
        made.generate(0, torch.tensor([0, 1]))
    assert "\n" not in str(caught.value)


def test_a_description_of_its_own_must_be_json(tmp_path: Path) -> None:
    describe = SOUND + "        pass\n    def describe(self):\n        return "
    assert loaded(tmp_path, describe + "{'layers': 3}\n").describe(1)["own"] == {"layers": 3}
    with pytest.raises(UserError, match="describe\\(\\) is no JSON"):
        loaded(tmp_path, describe + "{1, 2}\n").describe(1)


def test_the_example_of_the_docs() -> None:
    raw = digits.read()
    train = ImageSet(torch.as_tensor(raw.train_images), torch.as_tensor(raw.train_labels), raw.classes, {})
    block = PythonGenerator(kind="python", path=str(EXAMPLE), name="Gaussians")
    made, labels = python.load(block, train, seed=0), torch.arange(2000) % 10
    images = made.generate(0, labels)
    assert torch.equal(made.generate(100, labels[100:200]), images[100:200])  # image i from seed and i alone
    for label in range(10):
        of_class = [x[y == label].float().mean(0) for x, y in ((images, labels), (train.images, train.labels))]
        assert float((of_class[0] - of_class[1]).abs().max()) < 30
    code = [line for line in EXAMPLE.read_text().splitlines() if line.strip()]
    assert len(code) <= 17
