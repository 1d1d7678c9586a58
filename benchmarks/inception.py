"""Inception features at 299x299 against pytorch-fid's own network, both with the same random weights."""

import tempfile
from pathlib import Path

import numpy as np
import torch
from pytorch_fid import inception as published
from torch import Tensor, nn

from benchmarks.measuring import CPU, PAIRS, Row, times_faster
from diffdistill.metrics import features, frechet
from diffdistill.metrics.frechet import Array

IMAGES, TOY_IMAGES = 16, 2


def random_weights(path: Path) -> nn.Module:
    """pytorch-fid's network with weights from a seed, which are also written to path."""
    load, states = nn.Module.load_state_dict, []
    published.load_state_dict_from_url = lambda url, progress: {}
    nn.Module.load_state_dict = lambda self, state, **_: states.append(self.state_dict())  # type: ignore
    try:
        torch.manual_seed(0)
        network: nn.Module = published.InceptionV3().eval()
    finally:
        nn.Module.load_state_dict = load  # type: ignore[method-assign]
    torch.save(states[0], path)
    return network


def rows(toy: bool = False) -> list[Row]:
    count = TOY_IMAGES if toy else IMAGES
    images = torch.randint(256, (count, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    with tempfile.TemporaryDirectory() as name:
        theirs = random_weights(Path(name) / "weights.pth")
        ours = features.inception(Path(name) / "weights.pth")

    @torch.inference_mode()
    def reference() -> Array:
        pooled: Tensor = theirs(images.float() / 255)[0]
        return np.asarray(pooled[:, :, 0, 0].double())

    def mine() -> Array:
        return features.in_batches(ours, images, count, CPU)

    shifted = frechet.mean_and_covariance(reference() + 0.1)
    distances = [frechet.frechet_distance(*frechet.mean_and_covariance(way()), *shifted) for way in (reference, mine)]
    assert abs(distances[1] / distances[0] - 1) < 1e-3, distances
    ratios = times_faster(reference, mine, 1 if toy else PAIRS)
    return [Row("Inception features, distance equal to 1e-3", f"pytorch-fid, batch {count}", 1.5, ratios)]
