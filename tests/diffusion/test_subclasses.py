"""Sub-classes are clusters within each class, and their file belongs to its images."""

from pathlib import Path

import pytest
import torch

from diffdistill.diffusion import subclasses
from diffdistill.errors import UserError


def test_clusters_are_found_within_each_class() -> None:
    draws = torch.Generator().manual_seed(0)
    centres = torch.tensor([[0.0, 0], [10, 0], [0, 10], [10, 10]])
    which = torch.cat([torch.full((n,), i) for i, n in enumerate((12, 30, 25, 8))])
    order = torch.randperm(len(which), generator=draws)
    which = which[order]
    points = centres[which] + 0.1 * torch.randn(len(which), 2, generator=draws)
    parts = subclasses.cluster(points, which // 2, 2, 2, seed=0)
    # the larger one first: of class 0 those at (10, 0), of class 1 those at (0, 10)
    assert torch.equal(parts, torch.tensor([1, 0, 0, 1])[which])
    with pytest.raises(UserError, match="class 1 has 33 images, fewer than the 40 sub-classes"):
        subclasses.cluster(points, which // 2, 2, 40, seed=0)


def test_labels_of_a_file(tmp_path: Path) -> None:
    file = str(tmp_path / "subclasses.safetensors")
    labels, parts = torch.tensor([0, 1, 2, 0, 1]), torch.tensor([0, 1, 0, 1, 1])
    subclasses.save(file, parts, "[]")
    found, counts = subclasses.load(file, labels, 3)
    assert found.tolist() == [0, 4, 2, 3, 4] and counts == ((1, 1), (0, 2), (1, 0))
    assert torch.equal(found % 3, labels)
    with pytest.raises(UserError, match="not the sub-classes of these 4 images"):
        subclasses.load(file, labels[:4], 3)
