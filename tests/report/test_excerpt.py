import json
from pathlib import Path

import pytest
import torch

from diffdistill.data import image_files
from diffdistill.errors import UserError
from diffdistill.report import excerpt


def test_an_excerpt_is_what_a_full_read_gives(tmp_path: Path) -> None:
    draws = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (60, 3, 5, 4), dtype=torch.uint8, generator=draws)
    labels = torch.randint(0, 4, (60,), generator=draws)
    path = tmp_path / "set.safetensors"
    image_files.save(path, x, labels, {"classes": json.dumps(list("abcde"))})
    for classes in ((0, 1, 3), range(5), (4,)):
        shown = excerpt.first_images(path, classes, 2)
        places = [place for label in classes for place in torch.nonzero(labels == label)[:2, 0].tolist()]
        assert torch.equal(shown.images, x[places]) and torch.equal(shown.labels, labels[places])
    with pytest.raises(UserError, match=r"absent\.safetensors"):
        excerpt.first_images(tmp_path / "absent.safetensors", (0,), 2)


@pytest.mark.parametrize(("count", "spaced"), [(3, [0, 1, 2]), (20, [0, 5, 10, 15]), (4, [0, 1, 2, 3])])
def test_evenly_spaced(count: int, spaced: list[int]) -> None:
    assert excerpt.evenly_spaced(count, 4) == spaced
