"""Equal to the challenge's ConvNet and to each primitive of the Siamese augmentation."""

from pathlib import Path

import pytest
from safetensors.torch import load_file

from diffdistill.classify.convnet import ConvNet
from diffdistill.data import augment


def test_the_convnet(oracles: Path) -> None:
    given = load_file(oracles / "convnet_32.safetensors")
    network = ConvNet(10, 32).requires_grad_(False)
    network.load_state_dict({n.removeprefix("state."): t for n, t in given.items() if n.startswith("state.")})
    assert float((network(given["x"]) - given["logits"]).norm() / given["logits"].norm()) < 1e-5


@pytest.mark.parametrize(
    "primitive", ["brightness", "saturation", "contrast", "flip", "scale", "rotate", "crop", "cutout"]
)
def test_the_augmentation(oracles: Path, primitive: str) -> None:
    given = load_file(oracles / "dsa.safetensors")
    draws = [given[name] for name in sorted(given) if name.startswith(f"rand_{primitive}.draw")]
    expected = given[f"rand_{primitive}.out"]
    assert draws
    assert float((getattr(augment, primitive)(given["x"], *draws) - expected).norm() / expected.norm()) < 1e-5
